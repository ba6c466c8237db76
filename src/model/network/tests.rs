//! Layers, what they become, and what is refused.

use super::*;
use crate::config::{Config, Layers, Likelihood, ModelConfig};

fn config(encoder: &[&str], decoder: &[&str]) -> ModelConfig {
    let [encoder_layers, decoder_layers] = [encoder, decoder].map(|words| Layers::words(words).unwrap());
    ModelConfig { hidden: vec![], latent: 5, encoder_layers, decoder_layers, ..Config::default().model }
}

fn shapes(steps: &[Step]) -> Vec<(&str, Vec<usize>)> {
    maps(steps).map(|map| (&map.name[..], map.shape().extents().to_vec())).collect()
}

#[test]
fn widths_are_dense_layers_with_a_non_linearity_between_them() {
    let model = Config::default().model;
    let (encoder, decoder) = (encoder(&model, [1, 28, 28]).unwrap(), decoder(&model, [1, 28, 28], 784).unwrap());
    assert_eq!(shapes(&encoder), [("encoder.0", vec![785, 400]), ("encoder.head", vec![401, 40])]);
    assert_eq!(shapes(&decoder), [("decoder.0", vec![21, 400]), ("decoder.head", vec![401, 784])]);
    assert_eq!(describe(&encoder), ["dense 784 to 400", "relu", "dense 400 to 40"]);
}

#[test]
fn layers_are_given_the_shapes_of_those_before_them() {
    let conv = "conv 32 kernel 4 stride 2 padding 1";
    let up = "conv-transpose out kernel 4 stride 2 padding 1";
    let mut model = config(&[conv, "relu"], &["dense data/2x8", "relu", up]);
    let found = encoder(&model, [1, 28, 28]).unwrap();
    assert_eq!(shapes(&found), [("encoder.0", vec![17, 32]), ("encoder.head", vec![14 * 14 * 32 + 1, 10])]);
    let found = decoder(&model, [1, 28, 28], 784).unwrap();
    assert_eq!(shapes(&found), [("decoder.0", vec![6, 14 * 14 * 8]), ("decoder.head", vec![129, 1])]);
    assert_eq!(found.len(), 3);
    // Colour begins and ends with a change of order, and a learned variance is a number more for each channel.
    model.likelihood = Likelihood::GaussianLearned;
    let found = encoder(&model, [3, 28, 28]).unwrap();
    assert_eq!(found[0], Step::NchwNhwc { channels: 3, to_pixels: true });
    assert_eq!(shapes(&found)[0].1, [49, 32]);
    let found = decoder(&model, [3, 28, 28], 2 * 3 * 784).unwrap();
    assert_eq!(found[3], Step::NchwNhwc { channels: 6, to_pixels: false });
    assert_eq!(shapes(&found)[1].1, [129, 6]);
    // What gives no `out` is followed by a layer that does.
    let found = decoder(&config(&[], &["dense 2x2x3", "conv 4 kernel 2"]), [1, 3, 3], 9).unwrap();
    assert_eq!(shapes(&found)[2], ("decoder.head", vec![5, 9]));
}

#[test]
fn blocks_norms_and_pixels_are_given_their_shapes_too() {
    let layers =
        ["residual conv 4 kernel 1 stride 2 {", "group-norm 3", "avg-pool 2", "conv 4 kernel 1", "}", "layer-norm"];
    let found = encoder(&config(&layers, &[]), [3, 8, 6]).unwrap();
    // Colour becomes pixels before the block begins, and the convolution around it comes before those within it.
    assert_eq!(found[0], Step::NchwNhwc { channels: 3, to_pixels: true });
    let expected = [
        ("encoder.0", vec![4, 4]),
        ("encoder.1", vec![2, 3]),
        ("encoder.2", vec![4, 4]),
        ("encoder.3", vec![2, 4]),
        ("encoder.head", vec![4 * 3 * 4 + 1, 10]),
    ];
    assert_eq!(shapes(&found), expected);
    let words = [
        "residual conv 8x6x3 to 4x3x4 (kernel 1, stride 2, padding 0) {",
        "group-norm 3",
        "avg-pool 8x6 to 4x3",
        "conv 4x3x3 to 4x3x4 (kernel 1, stride 1, padding 0)",
        "}",
        "layer-norm",
        "dense 4x3x4 to 10",
    ];
    assert_eq!(describe(&found), words);
    // Numbers are the channels of one pixel.
    let found = decoder(
        &config(&[], &["residual {", "layer-norm", "dropout 0.5", "}", "dense 1x2x3", "upsample 2"]),
        [1, 2, 4],
        8,
    );
    let found = found.unwrap();
    let expected = [("decoder.0", vec![2, 5]), ("decoder.1", vec![6, 6]), ("decoder.head", vec![25, 8])];
    assert_eq!(shapes(&found), expected);
    assert_eq!(describe(&found)[2..6], ["dropout 0.5", "}", "dense 5 to 1x2x3", "upsample 1x2 to 2x4"]);
}

#[test]
fn attention_is_steps_of_every_pixel() {
    let layers = ["conv 4 kernel 4 stride 4", "positions", "transformer 2 width 9", "attention 4", "pixel-norm"];
    let found = encoder(&config(&layers, &[]), [3, 8, 12]).unwrap();
    let expected = [
        ("encoder.0", vec![3 * 16 + 1, 4]),
        ("encoder.1", vec![6, 4]),
        ("encoder.2", vec![2, 4]),
        ("encoder.3", vec![5, 12]),
        ("encoder.4", vec![5, 4]),
        ("encoder.5", vec![2, 4]),
        ("encoder.6", vec![5, 9]),
        ("encoder.7", vec![10, 4]),
        ("encoder.8", vec![5, 12]),
        ("encoder.9", vec![5, 4]),
        ("encoder.10", vec![2, 4]),
        ("encoder.head", vec![6 * 4 + 1, 10]),
    ];
    assert_eq!(shapes(&found), expected);
    let words = describe(&found);
    let block = [
        "positions of 6 pixels",
        "residual {",
        "pixel-norm",
        "each of 6 pixels 4 to 12",
        "attention of 6 pixels by 2 heads",
        "each of 6 pixels 4 to 4",
        "}",
        "residual {",
        "pixel-norm",
        "each of 6 pixels 4 to 9",
        "geluerf",
        "each of 6 pixels 9 to 4",
        "}",
    ];
    assert_eq!(words[1..14], block);
    // A map of every pixel and what follows it stand beside each other, so that one step computes both.
    let mut graph = Graph::new(2);
    let x = graph.add(Op::Input { name: "x".into(), shape: Shape::new(&[2, 3 * 96]) }).unwrap();
    let weights = declare(&mut graph, &found).unwrap();
    apply(&mut graph, x, &found, &weights, None).unwrap();
    let beside = |id: Id| match *graph.op(id) {
        Op::Activation { x, .. } => Some(matches!(graph.op(x), Op::Affine { .. })),
        _ => None,
    };
    assert_eq!(graph.ids().filter_map(beside).collect::<Vec<_>>(), [true]);
}

/// Blocks within blocks, repeated ones and named ones: each map has a tensor of its own.
#[test]
fn blocks_nest_repeat_and_have_names() {
    let text = "[{ conv = 4, kernel = 1 }, { name = \"down\", repeat = 2, residual = [\"silu\", { conv = 4, kernel = 1 }, \
                { residual = [{ conv = 4, kernel = 3, padding = 1 }], skip = { conv = 4, kernel = 1 } }] }, \"relu\", \
                { repeat = 2, layers = [{ name = \"in\", layers = [{ dense = 6 }] }, \"layer-norm\"] }]";
    let table: toml::Table = format!("layers = {text}").parse().unwrap();
    let encoder_layers = Layers::read("layers", &table["layers"]).unwrap();
    let model = ModelConfig { encoder_layers, ..config(&[], &[]) };
    let found = encoder(&model, [1, 4, 3]).unwrap();
    let names: Vec<&str> = shapes(&found).iter().map(|(name, _)| *name).collect();
    let down =
        ["encoder.down.0", "encoder.down.1", "encoder.down.2", "encoder.down.3", "encoder.down.4", "encoder.down.5"];
    let rest = ["encoder.in.0", "encoder.1", "encoder.in.1", "encoder.2", "encoder.head"];
    assert_eq!(names, [&["encoder.0"][..], &down, &rest].concat());
    let block = [
        "residual {",
        "silu",
        "conv 4x3x4 to 4x3x4 (kernel 1, stride 1, padding 0)",
        "residual conv 4x3x4 to 4x3x4 (kernel 1, stride 1, padding 0) {",
        "conv 4x3x4 to 4x3x4 (kernel 3, stride 1, padding 1)",
        "}",
        "}",
    ];
    assert_eq!(describe(&found)[1..15], [block, block].concat());
    // Each block adds what it was given, the inner one to the inner one.
    let mut graph = Graph::new(2);
    let x = graph.add(Op::Input { name: "x".into(), shape: Shape::new(&[2, 12]) }).unwrap();
    let weights = declare(&mut graph, &found).unwrap();
    apply(&mut graph, x, &found, &weights, None).unwrap();
    let added: Vec<(Id, Id, Id)> = graph
        .ids()
        .filter_map(|id| match *graph.op(id) {
            Op::Add { a, b } => Some((id, a, b)),
            _ => None,
        })
        .collect();
    let [inner, outer, inner2, outer2] = added[..] else { panic!("{added:?}") };
    assert!(outer.2 == inner.0 && outer2.2 == inner2.0 && outer2.1 == outer.0, "{added:?}");
}

/// Only where a model is trained numbers are left out, and each layer leaves out its own.
#[test]
fn dropout_is_for_training_alone() {
    let found = encoder(&config(&["dropout 0.5", "dense 4", "dropout 0.25"], &[]), [1, 1, 3]).unwrap();
    let dropped = |mut graph: Graph| {
        let x = graph.add(Op::Input { name: "x".into(), shape: Shape::new(&[2, 3]) }).unwrap();
        let weights = declare(&mut graph, &found).unwrap();
        apply(&mut graph, x, &found, &weights, None).unwrap();
        let layer = |id: Id| match *graph.op(id) {
            Op::Dropout { rate, layer, .. } => Some((rate, layer)),
            _ => None,
        };
        graph.ids().filter_map(layer).collect::<Vec<_>>()
    };
    assert_eq!(dropped(Graph::training(2)), [(0.5, 0), (0.25, 1)]);
    assert_eq!(dropped(Graph::new(2)), []);
}

/// Of tables some columns want fewer numbers than others.
#[test]
fn out_is_as_many_numbers_as_the_likelihood_wants() {
    let found = decoder(&config(&[], &["dense 8", "relu", "dense out"]), [1, 1, 6], 8).unwrap();
    assert_eq!(shapes(&found)[1], ("decoder.head", vec![9, 8]));
    let error = decoder(&config(&[], &["dense 1x6x2", "conv out kernel 1"]), [1, 1, 6], 8).unwrap_err().to_string();
    assert!(error.contains("8 numbers for 1x6 values") && error.contains("`dense out`"), "{error}");
}

/// A side becomes 64 times as long.
const UP: &str = "conv-transpose 1 kernel 64 stride 64";

#[test]
fn shapes_that_do_not_meet_name_both_layers_and_both_shapes() {
    type Row = (&'static [&'static str], &'static [&'static str], [usize; 3], &'static [&'static str]);
    let rows: &[Row] = &[
        (
            &["conv 8 kernel 4 stride 4", "relu", "conv 9 kernel 9"],
            &[],
            [1, 28, 28],
            &["encoder_layers[2] `conv 9 kernel 9`", "9x9", "7x7x8", "`relu` before it"],
        ),
        (
            &["conv 8 kernel 3"],
            &[],
            [1, 1, 36],
            &["encoder_layers[0] `conv 8 kernel 3`", "wants images", "36 numbers in a row", "hidden"],
        ),
        (
            &["dense 16", "conv 8 kernel 3"],
            &[],
            [1, 28, 28],
            &["encoder_layers[1]", "`dense 16` before it", "16 numbers", "dense 7x7x64"],
        ),
        (
            &["conv 8 kernel 3", "avg-pool 27"],
            &[],
            [1, 28, 28],
            &["encoder_layers[1]", "27x27", "26x26x8", "`conv 8 kernel 3` before it"],
        ),
        (&["avg-pool 2"], &[], [1, 1, 36], &["encoder_layers[0] `avg-pool 2`", "wants images", "36 numbers in a row"]),
        (&[], &["dense 8", "upsample 2"], [1, 28, 28], &["decoder_layers[1]", "wants an image", "8 numbers"]),
        (
            &["conv 8 kernel 3", "silu", "group-norm 3"],
            &[],
            [1, 28, 28],
            &["encoder_layers[2] `group-norm 3`", "channels", "multiple of 3", "`silu` before it", "26x26x8"],
        ),
        (&["dense 8", "group-norm 8"], &[], [1, 1, 36], &["encoder_layers[1]", "nothing of 8 numbers", "one number"]),
        (
            &["conv 8 kernel 3", "residual {", "conv 9 kernel 3 padding 1", "silu", "}"],
            &[],
            [1, 28, 28],
            &[
                "encoder_layers[1] `residual` adds 26x26x9, which it ends with in `silu`, to 26x26x8",
                "skip = { conv = 64",
            ],
        ),
        (
            &["residual conv 4 kernel 1 stride 2 {", "conv 4 kernel 3", "}"],
            &[],
            [3, 8, 6],
            &["encoder_layers[0] `residual conv 4 kernel 1 stride 2` adds 6x4x4", "4x3x4, what `skip` makes"],
        ),
        (
            &["dense 8", "residual conv 4 kernel 1 {", "relu", "}"],
            &[],
            [1, 1, 36],
            &["encoder_layers[1] `residual conv 4 kernel 1` wants an image", "8 numbers"],
        ),
        (
            &[],
            &["dense 4", "residual {", "dense 5", "}"],
            [1, 1, 36],
            &["decoder_layers[1]", "5 numbers", "4 numbers", "end the block with `dense 4`"],
        ),
        (
            &["conv 8 kernel 3", "residual {", "dense 5", "}"],
            &[],
            [1, 28, 28],
            &["encoder_layers[1]", "5 numbers", "end the block with `dense 26x26x8`"],
        ),
        (
            &["dense 1x1x131072", "conv 1 kernel 64 padding 63"],
            &[],
            [1, 28, 28],
            &["encoder_layers[1]", "536870912 products", "1x1x131072", "fewer channels"],
        ),
        (
            &[],
            &["dense 1x1x1", "conv-transpose 257 kernel 64"],
            [1, 28, 28],
            &["decoder_layers[1]", "1052672 products", "1x1x1"],
        ),
        (&[], &["conv 8 kernel 3"], [1, 28, 28], &["decoder_layers[0]", "5 numbers", "what the decoder is given"]),
        (
            &[],
            &["dense 7x7x4", "conv-transpose out kernel 4 stride 2 padding 1"],
            [1, 28, 28],
            &["decoder_layers[1]", "14x14", "7x7x4", "`dense 7x7x4` before it", "28x28"],
        ),
        (&[], &["dense data/4x4"], [1, 28, 30], &["decoder_layers[0]", "multiples of 4", "28x30", "data.resize"]),
        (&[], &["dense data/1x4"], [1, 1, 36], &["decoder_layers[0]", "images", "36 numbers in a row"]),
        (
            &[],
            &["dense 1x1x1", UP, UP, UP, UP, UP, UP],
            [1, 28, 28],
            &["decoder_layers[3]", "262144x262144x1", "numbers are possible"],
        ),
        (
            &["conv 8 kernel 3", "residual {", "silu", "residual {", "avg-pool 27", "}", "}"],
            &[],
            [1, 28, 28],
            &["encoder_layers[1].residual[1].residual[0] `avg-pool 27`", "26x26x8, which is what the block is given"],
        ),
        (
            &["conv 8 kernel 4 stride 4", "relu", "attention 3"],
            &[],
            [1, 28, 28],
            &["encoder_layers[2] `attention 3`", "multiple of its 3 heads", "`relu` before it gives 7x7x8"],
        ),
        (
            &["conv 8 kernel 4 stride 4", "transformer 5 width 9"],
            &[],
            [1, 28, 28],
            &["encoder_layers[1] `transformer 5 width 9`", "multiple of its 5 heads", "7x7x8"],
        ),
        (
            &["dense 16", "attention 4"],
            &[],
            [1, 28, 28],
            &[
                "encoder_layers[1] `attention 4` wants an image",
                "`dense 16` before it gives 16 numbers",
                "dense 7x7x64",
            ],
        ),
        (&["transformer 4 width 9"], &[], [1, 1, 36], &["encoder_layers[0]", "wants images", "36 numbers in a row"]),
        (&["positions"], &[], [1, 1, 36], &["encoder_layers[0] `positions` wants images", "36 numbers in a row"]),
        (&["pixel-norm"], &[], [1, 28, 28], &["encoder_layers[0] `pixel-norm`", "nothing of 28x28x1", "one number"]),
        (&[], &["dense 1x1x4", "attention 2"], [1, 28, 28], &["decoder_layers[1]", "1x1x4", "there is one pixel"]),
        (
            &["dense 128x128x2", "attention 2"],
            &[],
            [1, 28, 28],
            &["encoder_layers[1] `attention 2`", "128x128x2", "67108864 such looks", "fewer pixels"],
        ),
        (&[], &["dense 1x1x4", "conv-transpose 3 kernel 2 padding 1"], [1, 28, 28], &["leaves nothing of 1x1x4"]),
    ];
    for (into, out, data, words) in rows {
        let model = config(into, out);
        let error = encoder(&model, *data).and_then(|_| decoder(&model, *data, data.iter().product()));
        let error = error.expect_err(words[0]);
        let text = error.to_string();
        assert_eq!(error.exit_code(), 2, "{text}");
        assert!(words.iter().all(|word| text.contains(word)) && !text.contains('\n'), "{text}");
    }
}

/// The networks of models that are told nothing.
fn encoder(config: &ModelConfig, data: [usize; 3]) -> Result<Vec<Step>> {
    super::encoder(config, data, 0)
}

fn decoder(config: &ModelConfig, data: [usize; 3], outputs: usize) -> Result<Vec<Step>> {
    super::decoder(config, data, outputs, 0)
}

/// In a network of convolutions the first dense layer is the one behind them.
#[test]
fn the_class_joins_what_the_first_dense_layer_reads() {
    let model = Config::default().model;
    let into = super::encoder(&model, [1, 28, 28], 10).unwrap();
    let out = super::decoder(&model, [1, 28, 28], 784, 10).unwrap();
    assert_eq!(shapes(&into), [("encoder.0", vec![795, 400]), ("encoder.head", vec![401, 40])]);
    assert_eq!(shapes(&out), [("decoder.0", vec![31, 400]), ("decoder.head", vec![401, 784])]);
    let model = config(&["conv 2 kernel 4 stride 4", "relu"], &["dense 4", "relu"]);
    let found = super::encoder(&model, [1, 8, 8], 3).unwrap();
    assert_eq!(shapes(&found), [("encoder.0", vec![17, 2]), ("encoder.head", vec![2 * 2 * 2 + 3 + 1, 10])]);
    assert_eq!(found[2], Step::Class(3));
}
