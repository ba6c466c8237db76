//! Lists of layers: how they are read, refused and written.

use super::*;
use toml::{Table, Value};

/// The list that TOML text stands for.
fn read(text: &str) -> Result<Layers, String> {
    let table: Table = format!("layers = {text}").parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    Layers::read("layers", &table["layers"])
}

/// A list within so many blocks.
fn nested(depth: usize) -> String {
    (0..depth).fold("[\"relu\"]".to_owned(), |inner, _| format!("[{{ residual = {inner} }}]"))
}

#[test]
fn words_and_tables_say_the_same() {
    for (table, words) in [
        ("[{ dense = 256 }]", &["dense 256"][..]),
        ("[{ dense = \"7x5x64\" }]", &["dense 7x5x64"]),
        ("[{ dense = [7, 5, 64] }]", &["dense 7x5x64"]),
        ("[{ dense = \"data/4x64\" }, { dense = \"out\" }]", &["dense data/4x64", "dense out"]),
        ("[{ conv = 16, kernel = 3, padding = 1 }, \"silu\"]", &["conv 16 kernel 3 stride 1 padding 1", "silu"]),
        ("[{ padding = 1, kernel = 4, stride = 2, conv = \"out\" }]", &["conv out kernel 4 stride 2 padding 1"]),
        (
            "[{ conv-transpose = 8, kernel = 3, stride = 2, output-padding = 1 }]",
            &["conv-transpose 8 kernel 3 stride 2 output-padding 1"],
        ),
        ("[{ conv_transpose = 8, kernel = 3 }]", &["conv-transpose 8 kernel 3"]),
        ("[{ avg-pool = 3, stride = 2 }, { upsample = 2 }]", &["avg-pool 3 stride 2", "upsample 2"]),
        ("[{ group-norm = 8 }, \"layer-norm\", { layer-norm = true }]", &["group-norm 8", "layer-norm", "layer-norm"]),
        (
            "[{ pixel-norm = true }, { positions = true }, { attention = 4 }, { transformer = 2, width = 64 }]",
            &["pixel-norm", "positions", "attention 4", "transformer 2 width 64"],
        ),
        ("[{ pixel_norm = true }, { width = 64, transformer = 2 }]", &["pixel-norm", "transformer 2 width 64"]),
        ("[{ dropout = 0.1 }]", &["dropout 0.1"]),
        ("[{ residual = [\"silu\", \"dense 3\"] }, \"relu\"]", &["residual {", "silu", "dense 3", "}", "relu"]),
        (
            "[{ residual = [\"relu\"], skip = { conv = 64, kernel = 1 } }]",
            &["residual conv 64 kernel 1 {", "relu", "}"],
        ),
        ("[{ residual = [\"relu\"], skip = \"conv 64 kernel 1\" }]", &["residual conv 64 kernel 1 {", "relu", "}"]),
        (
            "[{ residual = [\"relu\", { residual = [\"tanh\"] }] }]",
            &["residual {", "relu", "residual {", "tanh", "}", "}"],
        ),
    ] {
        assert_eq!(read(table).unwrap(), Layers::words(words).unwrap(), "{table}");
    }
}

#[test]
fn what_is_written_is_read_back() {
    for text in [
        "[]",
        "[{ dense = 256 }, \"relu\", { dense = \"7x5x64\" }, { dense = \"data/4x64\" }, { dense = \"out\" }]",
        "[{ conv = 16, kernel = 3 }, { conv-transpose = \"out\", kernel = 3, stride = 2, padding = 1, output-padding = 1 }]",
        "[{ avg-pool = 2 }, { avg-pool = 3, stride = 2 }, { upsample = 2 }, { group-norm = 8 }, \"layer-norm\", \"batch-norm\"]",
        "[\"positions\", { residual = [\"pixel-norm\", { attention = 4 }] }, { layers = [{ transformer = 2, width = 64 }], repeat = 2 }]",
        "[{ dropout = 0.1 }, { dropout = 0.0 }, { dropout = 0.333333343 }, { leaky-relu = 0.2 }, \"leaky-relu\"]",
        "[{ residual = [\"silu\", { residual = [\"relu\"] }], skip = { conv = 4, kernel = 1, stride = 2 }, repeat = 3, name = \"a\" }]",
        "[{ layers = [\"gelu\"], repeat = 2 }, { layers = [\"softplus\"] }]",
    ] {
        let layers = read(text).unwrap();
        let written = layers.text();
        assert_eq!(read(&written), Ok(layers.clone()), "{written}");
        assert_eq!(Layers::read("layers", &layers.value()), Ok(layers.clone()), "{written}");
        let json = serde_json::to_string(&layers).unwrap();
        assert_eq!(serde_json::from_str::<Layers>(&json).unwrap(), layers, "{json}");
    }
    let layers =
        read("[{ padding = 1, kernel = 3, conv = 16 }, { skip = \"conv 4 kernel 1\", residual = [\"relu\"] }]");
    let expected = "[\n    { conv = 16, kernel = 3, padding = 1 },\n    { residual = [\"relu\"], skip = { conv = 4, kernel = 1 } },\n]";
    assert_eq!(layers.unwrap().text(), expected);
}

#[test]
fn blocks_count_as_often_as_they_are_repeated() {
    let layers =
        read("[\"relu\", { repeat = 4, layers = [\"tanh\", { residual = [\"silu\", \"relu\"], repeat = 3 }] }]")
            .unwrap();
    assert_eq!(layers.count(), 1 + 4 * (1 + 3 * 2));
    let most = "[{ repeat = 256, layers = [{ repeat = 256, layers = [{ repeat = 256, layers = [\"relu\"] }] }] }]";
    assert_eq!(read(most).unwrap().count(), 1 << 24);
}

#[test]
fn what_is_wrong_is_named_by_its_place_in_one_line() {
    let deep = nested(17);
    for (text, expected) in [
        ("3", "layers = 3: expected a list of layers"),
        ("[3]", "layers[0] = 3: expected a layer, such as \"conv 16 kernel 3\" or { conv = 16, kernel = 3 }"),
        ("[\"relu\", \"relo\"]", "layers[1] `relo` is unknown; did you mean `relu`?"),
        (
            "[{ conv = 16, kernal = 3 }]",
            "layers[0] `{ conv = 16, kernal = 3 }` knows no `kernal`; did you mean `kernel`?",
        ),
        ("[{ conv = 16 }]", "layers[0] `{ conv = 16 }` wants a kernel, such as `kernel 3`"),
        (
            "[{ conv = 16, kernel = true }]",
            "layers[0] `{ conv = 16, kernel = true }` wants a number after `kernel`, not true",
        ),
        ("[{ conv = 16, kernel = -3 }]", "layers[0] `{ conv = 16, kernel = -3 }` wants a whole number after `kernel`"),
        (
            "[{ conv = 16, kernel = 2.5 }]",
            "layers[0] `{ conv = 16, kernel = 2.5 }` wants a whole number after `kernel`",
        ),
        ("[{ dense = [7, 7] }]", "layers[0] `{ dense = [7, 7] }` wants a size such as 256"),
        ("[{ dense = \"3 4\" }]", "layers[0] `{ dense = \"3 4\" }` wants a number after `dense`"),
        ("[{ dense = 0 }]", "layers[0] `{ dense = 0 }` wants a size"),
        ("[{ denes = 8 }]", "layers[0] `{ denes = 8 }` is no layer: did you mean `dense`?"),
        ("[{ kernel = 3 }]", "layers[0] `{ kernel = 3 }` is no layer: one of its keys has to be dense, conv,"),
        ("[{}]", "layers[0] `{  }` is no layer"),
        (
            "[{ dense = 8, repeat = 2 }]",
            "layers[0] `{ dense = 8, repeat = 2 }` has no `repeat`, which is for blocks: put it into one",
        ),
        (
            "[{ conv = 8, kernel = 3, name = \"a\" }]",
            "layers[0] `{ conv = 8, kernel = 3, name = \"a\" }` has no `name`, which",
        ),
        (
            "[{ gelu_erf = true }]",
            "layers[0] `{ gelu_erf = true }` is no layer: a non-linearity takes nothing and is the word \"gelu-erf\"",
        ),
        (
            "[{ dense = 1e300 }]",
            "layers[0] `{ dense = 1000000000000000000000000000000000000000000000000…` wants a size such as 256, 7x7x64 (height x width x channels), data/4x64 or out, not `1e300`",
        ),
        ("[{ dense = 3, conv = 4 }]", "layers[0] `{ conv = 4, dense = 3 }` is `conv` and `dense` at once"),
        ("[{ positions = 49 }]", "layers[0] `{ positions = 49 }` takes nothing, not `49`"),
        ("[{ positions = false }]", "layers[0] `{ positions = false }` takes nothing, not `false`"),
        ("[{ attention = 2.5 }]", "layers[0] `{ attention = 2.5 }` wants a number of heads, such as `attention 4`"),
        (
            "[{ attention = 4, heads = 4 }]",
            "layers[0] `{ attention = 4, heads = 4 }` knows no `heads`; it takes nothing more",
        ),
        ("[{ transformer = 4 }]", "layers[0] `{ transformer = 4 }` wants a width, such as `width 3`"),
        (
            "[{ transformer = 4, widht = 64 }]",
            "layers[0] `{ transformer = 4, widht = 64 }` knows no `widht`; did you mean `width`?",
        ),
        (
            "[{ transformer = 4, width = 64, repeat = 2 }]",
            "layers[0] `{ repeat = 2, transformer = 4, width = 64 }` has no `repeat`, which is for blocks: put it into one",
        ),
        ("[{ batch-norm = 3 }]", "layers[0] `{ batch-norm = 3 }` takes nothing, not `3`"),
        ("[{ layer-norm = 3 }]", "layers[0] `{ layer-norm = 3 }` takes nothing, not `3`"),
        (
            "[\"relu\", { residual = [\"silu\", \"cnov 3 kernel 3\"] }]",
            "layers[1].residual[1] `cnov 3 kernel 3` is unknown",
        ),
        (
            "[{ repeat = 2, layers = [{ residual = [{ conv = 3, kernle = 3 }] }] }]",
            "layers[0].layers[0].residual[0] `{ conv = 3, kernle = 3 }` knows no `kernle`",
        ),
        ("[{ residual = [] }]", "layers[0].residual = []: there is no layer in the block"),
        ("[{ layers = [], repeat = 2 }]", "layers[0].layers = []: there is no layer in the block"),
        ("[{ residual = \"relu\" }]", "layers[0].residual = \"relu\": expected a list of layers"),
        ("[{ residual = [\"relu\"], skpi = 3 }]", "layers[0] knows no `skpi`: did you mean `skip`?"),
        (
            "[{ residual = [\"relu\"], kernel = 3 }]",
            "layers[0] knows no `kernel`: a block has residual, layers, skip, repeat, name",
        ),
        ("[{ residual = [\"relu\"], skip = \"relu\" }]", "layers[0].skip = \"relu\": expected a convolution"),
        ("[{ residual = [\"relu\"], skip = { conv = 3 } }]", "layers[0].skip `{ conv = 3 }` wants a kernel"),
        ("[{ residual = [\"relu\"], skip = { conv = \"out\", kernel = 1 } }]", "layers[0].skip gives `out`"),
        ("[{ layers = [\"relu\"], skip = { conv = 3, kernel = 1 } }]", "layers[0] has a `skip`, which goes around"),
        (
            "[{ layers = [\"relu\"], residual = [\"relu\"] }]",
            "layers[0] `{ layers = [\"relu\"], residual = [\"relu\"] }` is",
        ),
        (
            "[{ repeat = 0, layers = [\"relu\"] }]",
            "layers[0].repeat = 0: expected how often the block follows itself, from 1 to 256",
        ),
        ("[{ repeat = 1000000000, layers = [\"relu\"] }]", "layers[0].repeat = 1000000000: expected"),
        ("[{ repeat = \"two\", layers = [\"relu\"] }]", "layers[0].repeat = \"two\": expected"),
        ("[{ repeat = 3 }]", "layers[0] `{ repeat = 3 }` is no layer"),
        ("[{ name = \"head\", layers = [\"relu\"] }]", "layers[0].name = \"head\": expected up to 32 letters"),
        ("[{ name = \"decay\", layers = [\"relu\"] }]", "layers[0].name = \"decay\": expected"),
        ("[{ name = \"to_Mean\", layers = [\"relu\"] }]", "layers[0].name = \"to_Mean\": expected"),
        ("[{ name = \"a.b\", layers = [\"relu\"] }]", "layers[0].name = \"a.b\": expected"),
        ("[{ name = \"0\", layers = [\"relu\"] }]", "layers[0].name = \"0\": expected"),
        ("[\"relu\", \"}\"]", "layers[1] `}` ends a block that nothing began"),
        ("[\"residual {\", \"relu\", \"}\", \"}\"]", "layers[3] `}` ends a block that nothing began"),
        ("[\"residual {\", \"}\"]", "layers[1] `}` ends a block in which there is no layer"),
        ("[\"relu\", \"residual {\", \"relu\"]", "layers[1] `residual {` begins a block that no `}` ends"),
        (
            "[{ residual = [\"residual {\", \"relu\"] }]",
            "layers[0].residual[0] `residual {` begins a block that no `}` ends",
        ),
        (&deep, &format!("layers[0]{} begins a block within 16 others", ".residual[0]".repeat(16))),
    ] {
        let why = read(text).expect_err(text);
        assert!(why.starts_with(expected) && !why.contains('\n'), "{text}: {why}");
    }
    assert!(read(&nested(16)).is_ok());
    // However long a wrong value is, the line about it is not.
    let long = format!("[{{ conv = \"{}\", kernel = 3 }}]", "9".repeat(10_000));
    assert!(read(&long).unwrap_err().len() < 20_000);
    assert!(Layers::read("layers", &Value::String("x".repeat(10_000))).unwrap_err().len() < 300);
}

#[test]
fn lists_that_do_not_hold_together_are_refused_by_the_layer() {
    for (text, decoder, expected) in [
        (
            "[\"dense out\", \"relu\"]",
            true,
            "layers[0] `dense out` gives `out`, what the likelihood wants, and has to be the last",
        ),
        ("[{ residual = [\"dense out\"] }]", true, "layers[0].residual[0] `dense out` gives `out`"),
        ("[{ layers = [\"dense out\"], repeat = 2 }]", true, "layers[0].layers[0] `dense out` gives `out`"),
        (
            "[\"conv out kernel 3\"]",
            false,
            "layers[0] `conv out kernel 3` gives `out`, what the likelihood wants, and only a decoder",
        ),
        ("[{ layers = [\"dense out\"] }]", false, "layers[0].layers[0] `dense out` gives `out`"),
        (
            "[{ name = \"a\", layers = [\"relu\"] }, { layers = [{ name = \"a\", residual = [\"relu\"] }] }]",
            true,
            "layers[1].layers[0] is called `a`, and so is another block",
        ),
    ] {
        let error = read(text).unwrap().check("layers", decoder).expect_err(text);
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().starts_with(expected), "{text}: {error}");
    }
    for (text, decoder) in [
        ("[\"conv out kernel 3\"]", true),
        ("[\"relu\", { name = \"end\", layers = [\"relu\", \"dense out\"] }]", true),
        (
            "[{ name = \"a\", layers = [{ name = \"a\", layers = [\"relu\"] }] }, { name = \"b\", layers = [\"relu\"] }]",
            false,
        ),
    ] {
        assert_eq!(read(text).unwrap().check("layers", decoder), Ok(()), "{text}");
    }
}
