use super::*;
use crate::config::{Activation, Binarise, ColumnType, Rounding, White};

fn pairs(overrides: &[(&str, &str)]) -> Vec<(String, String)> {
    overrides.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn settings_are_taken_by_full_key_and_by_unique_last_segment() {
    let overrides = pairs(&[
        ("latent", "2"),
        ("model.hidden", "[512, 256]"),
        ("decoder", "64,32"),
        ("optimizer.lr", "3e-4"),
        ("beta", "4"),
        ("activation", "tanh"),
        ("data.source", "some/folder"),
        ("data.binarise", "dynamic"),
        ("output_bias_from_data", "true"),
        ("log_variance", "[-6, 2]"),
        ("examples", "1_000"),
        ("decoder_layers", "[]"),
    ]);
    let config = resolve(None, &overrides).unwrap();
    let mut expected = Config::default();
    expected.model.latent = 2;
    expected.model.hidden = vec![512, 256];
    expected.model.decoder = vec![64, 32];
    expected.optimizer.lr = 3e-4;
    expected.objective.beta = 4.0;
    expected.model.activation = Activation::Tanh;
    expected.data.source = "some/folder".into();
    expected.data.binarise = Binarise::Dynamic;
    expected.model.output_bias_from_data = true;
    (expected.model.log_variance, expected.model.decoder_log_variance) = ([-6.0, 2.0], [-6.0, 2.0]);
    expected.data.examples = 1000;
    assert_eq!(config, expected);
}

#[test]
fn keys_are_taken_by_the_names_that_they_had() {
    let old = [("curve", "steps"), ("schedule.after", "[2, 4]"), ("factors", "[0.5]"), ("reorder", "false")];
    let new = [("curve", "steps"), ("milestones", "[2, 4]"), ("schedule.gamma", "[0.5]"), ("train.shuffle", "false")];
    let config = resolve(None, &pairs(&new)).unwrap();
    assert_eq!(resolve(None, &pairs(&old)), Ok(config.clone()));
    let text = to_toml(&config);
    let [renamed, twice] = ["after = [2, 4]", "milestones = [2, 4]\nafter = [2, 4]"]
        .map(|line| text.replace("milestones = [2, 4]", line).replace("initial_second_moment", "second_moment"));
    assert!(renamed != text && renamed.contains("\nsecond_moment = "));
    assert_eq!(from_toml(&renamed, "config.toml"), Ok(config));
    let error = from_toml(&twice, "config.toml").unwrap_err().to_string();
    assert!(error.contains("`schedule.milestones` is there twice"), "{error}");
}

#[test]
fn layers_are_set_as_a_list_of_texts() {
    let overrides = pairs(&[("hidden", "[]"), ("encoder_layers", "[\"conv 8 kernel 4 stride 2\", relu,dense 9]")]);
    let config = resolve(None, &overrides).unwrap();
    assert_eq!(config.model.encoder_layers, Layers::words(&["conv 8 kernel 4 stride 2", "relu", "dense 9"]).unwrap());
    assert_eq!(from_toml(&to_toml(&config), "config.toml"), Ok(config));
}

#[test]
fn layers_are_set_as_tables_too() {
    let text = "[{ conv = 8, kernel = 4, stride = 2 }, \"relu\", { residual = [{ dense = 9 }], repeat = 2 }]";
    let config = resolve(None, &pairs(&[("hidden", "[]"), ("encoder_layers", text)])).unwrap();
    assert_eq!(config.model.encoder_layers.count(), 4);
    assert_eq!(config.model.encoder_layers[0], Layers::words(&["conv 8 kernel 4 stride 2"]).unwrap()[0]);
    assert_eq!(from_toml(&to_toml(&config), "config.toml"), Ok(config));
    for (text, words) in [
        ("[{ conv = 8, kernel = 4 }, relu]", "where there are tables, words stand in quotation marks"),
        ("[{ conv = 8, kernel = 4 }]\nlatent = 3", "expected a list of layers"),
        ("relu", "model.decoder_layers"),
    ] {
        let error = resolve(None, &pairs(&[("hidden", "[]"), ("encoder_layers", text), ("decoder_layers", "rleu")]));
        let error = error.expect_err(text).to_string();
        assert!(error.contains(words) && !error.contains('\n'), "{text}: {error}");
    }
}

/// What a run of the recipe `residual` saved when layers were words and blocks stood between them.
#[test]
fn layers_that_were_saved_in_words_are_read_and_written_as_tables() {
    let old = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/layers_in_words.toml"));
    assert!(old.contains("\"residual {\", \"silu\", \"conv 16 kernel 3 padding 1\""));
    let config = from_toml(old, "config.toml").unwrap();
    let settings = [
        ("data.examples", "40"),
        ("epochs", "1"),
        ("batch", "10"),
        ("latent", "3"),
        ("validation", "10"),
        ("rounding", "single"),
    ];
    assert_eq!(config, resolve(Some("residual"), &pairs(&settings)).unwrap());
    let new = to_toml(&config);
    let block = "    { residual = [\"silu\", { conv = 16, kernel = 3, padding = 1 }, \"silu\", { conv = 16, kernel = 3, padding = 1 }] },\n";
    assert!(new.contains(block) && !new.contains("residual {"), "{new}");
    assert_eq!(from_toml(&new, "config.toml"), Ok(config));
    let damaged = old.replacen("\"}\"", "\"relo\"", 1);
    let error = from_toml(&damaged, "run/config.toml").unwrap_err();
    assert!(error.to_string().starts_with("run/config.toml: model.encoder_layers[6] `relo` is unknown"), "{error}");
}

#[test]
fn a_wrong_setting_is_a_usage_error_that_names_the_key_and_what_was_expected() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("latnt", "2", &["latnt", "did you mean `model.latent`"]),
        ("model.latnt", "2", &["model.latnt", "did you mean `model.latent`"]),
        ("train.lr", "1", &["train.lr", "did you mean `optimizer.lr`"]),
        ("model", "2", &["model", "is a table", "latent"]),
        ("model.flavour", "2", &["model.flavour", "the table [model] has", "latent"]),
        ("flavour", "2", &["flavour", "known are", "model.latent"]),
        ("", "2", &["unknown key"]),
        ("latent", "two", &["model.latent", "a whole number"]),
        ("latent", "-2", &["model.latent", "a whole number"]),
        ("latent", "2.5", &["model.latent", "a whole number"]),
        ("latent", "99999999999999999999", &["model.latent", "a whole number"]),
        ("encoder_layers", "[relu", &["model.encoder_layers", "a list of layers"]),
        ("lr", "fast", &["optimizer.lr", "a number"]),
        ("lr", "", &["optimizer.lr", "a number"]),
        ("lr", "NaN", &["optimizer.lr = NaN", "above 0"]),
        ("lr", "1e99", &["optimizer.lr = inf", "above 0"]),
        ("lr", "1e-60", &["optimizer.lr = 0", "above 0"]),
        ("hidden", "[4,", &["model.hidden", "a list of whole numbers"]),
        ("hidden", "[4, x]", &["model.hidden", "a list of whole numbers"]),
        ("hidden", "0", &["model.hidden[0] = 0"]),
        ("log_variance", "[1]", &["model.log_variance", "a list of 2 numbers"]),
        ("output_bias_from_data", "yes", &["model.output_bias_from_data", "true or false"]),
        ("activation", "rlu", &["model.activation", "rlu", "relu", "tanh"]),
        ("optimizer.kind", "lion", &["optimizer.kind", "lion", "adam, adamw, rmsprop, sgd"]),
        ("seed", "18446744073709551615", &["train.seed", "a whole number"]),
        ("data.columns.age", "number", &["data.columns", "age", "numeric, binary, category, count, ignore"]),
        ("columns", "numeric", &["data.columns", "a table of texts"]),
        ("scale", "big", &["data.scale", "big", "auto, none, standardise, robust, unit"]),
    ];
    for (key, value, words) in rows {
        let error = resolve(None, &pairs(&[(key, value)])).expect_err(&format!("{key}={value} is accepted"));
        let text = error.to_string();
        assert!(matches!(error, Error::Usage(_)), "{text}");
        assert!(words.iter().all(|word| text.contains(word)), "{key}={value}: {text}");
        assert!(!text.contains('\n'), "{text}");
    }
}

#[test]
fn columns_of_a_table_are_set_by_names_that_are_not_known_beforehand() {
    let overrides = pairs(&[("data.columns.net weight", "numeric"), ("columns.a.b", "count"), ("columns.*", "ignore")]);
    let config = resolve(None, &overrides).unwrap();
    let expected = [("*", ColumnType::Ignore), ("a.b", ColumnType::Count), ("net weight", ColumnType::Numeric)];
    let found: Vec<(&str, ColumnType)> = config.data.columns.iter().map(|(name, of)| (name.as_str(), *of)).collect();
    assert_eq!(found, expected);
    assert_eq!(from_toml(&to_toml(&config), "config.toml"), Ok(config));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("typed.toml");
    std::fs::write(&path, "[data.columns]\nage = \"numeric\"\n\"net weight\" = \"count\"\n").unwrap();
    let config = resolve(path.to_str(), &pairs(&[("data.columns.age", "ignore")])).unwrap();
    assert_eq!(config.data.columns["age"], ColumnType::Ignore);
    assert_eq!(config.data.columns["net weight"], ColumnType::Count);
}

#[test]
fn a_key_set_twice_is_refused_under_whatever_name() {
    let error = resolve(None, &pairs(&[("lr", "1e-3"), ("optimizer.lr", "2e-3")])).unwrap_err();
    assert_eq!(error.to_string(), "optimizer.lr is set twice, to 1e-3 and to 2e-3; set it once");
}

#[test]
fn an_unknown_recipe_is_a_usage_error_with_the_nearest_name() {
    for (recipe, words) in [
        ("clasic", vec!["clasic", "did you mean `classic`", "dynamic"]),
        ("vq-vae", vec!["vq-vae", "there are classic, binary"]),
        ("no/such/recipe.toml", vec!["no/such/recipe.toml", "cannot be read"]),
        ("missing.toml", vec!["missing.toml", "cannot be read"]),
    ] {
        let error = resolve(Some(recipe), &[]).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Usage(_)) && words.iter().all(|word| text.contains(word)), "{text}");
    }
}

#[test]
fn a_recipe_file_may_leave_out_keys_and_gives_its_own_name_to_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("my small one.toml");
    std::fs::write(&path, "[model]\nlatent = 3\n[objective]\nbeta = 2\n").unwrap();
    let config = resolve(path.to_str(), &pairs(&[("epochs", "1")])).unwrap();
    let mut expected = Config { name: "my-small-one".into(), ..Config::default() };
    (expected.model.latent, expected.objective.beta, expected.train.epochs) = (3, 2.0, 1);
    assert_eq!(config, expected);
}

#[test]
fn a_wrong_recipe_file_is_a_usage_error_that_names_key_and_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.toml");
    let rows: &[(&str, &[&str])] = &[
        ("[model]\nlatnt = 2", &["model.latnt", "model.latent"]),
        ("latent = 2", &["unknown key `latent`", "model.latent"]),
        ("[train]\nlr = 1", &["train.lr", "optimizer.lr"]),
        ("[modle]\nlatent = 2", &["[modle]", "did you mean [model]"]),
        ("[extra]\nlatent = 2", &["[extra]", "known are data, model"]),
        ("model = 3", &["`model` is a table"]),
        ("[model]\nlatent = \"two\"", &["model.latent", "\"two\"", "a whole number"]),
        ("[model]\nlatent = -1", &["model.latent", "-1", "a whole number"]),
        ("[model]\nlatent = 0", &["model.latent = 0"]),
        ("[model]\nhidden = 400", &["model.hidden", "a list of whole numbers"]),
        ("[model]\nhidden = [4.5]", &["model.hidden", "a list of whole numbers"]),
        ("[model]\nencoder_layers = [3]", &["model.encoder_layers[0] = 3", "expected a layer"]),
        ("[model]\nencoder_layers = 3", &["model.encoder_layers = 3", "a list of layers"]),
        (
            "[model]\nencoder_layers = [\"relu\", { residual = [\"relu\", { conv = 3, kernal = 3 }] }]",
            &["model.encoder_layers[1].residual[1]", "did you mean `kernel`"],
        ),
        ("[model]\nlog_variance = [1.0, 2.0, 3.0]", &["model.log_variance", "a list of 2 numbers"]),
        ("[data.columns]\nage = 3", &["data.columns", "a table of texts"]),
        ("[data.columns]\nage = \"old\"", &["data.columns", "old", "numeric"]),
        ("[model]\nactivation = \"rlu\"", &["model.activation", "rlu", "relu"]),
        ("[model]\nactivation = 3", &["model.activation", "text"]),
        ("[optimizer]\nlr = nan", &["optimizer.lr", "NaN"]),
        ("[model]\n\nlatent = = 2", &["line 3", "not valid TOML"]),
        ("[model]\nlatent = 2\nlatent = 3", &["line 3", "not valid TOML"]),
    ];
    for (text, words) in rows {
        std::fs::write(&path, text).unwrap();
        let error = resolve(path.to_str(), &[]).expect_err(text);
        let message = error.to_string();
        assert!(matches!(error, Error::Usage(_)), "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{text}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn what_is_saved_is_read_back_bit_for_bit() {
    let mut configs: Vec<Config> = RECIPES.iter().map(|(name, ..)| resolve(Some(name), &[]).unwrap()).collect();
    let mut odd = Config::default();
    odd.optimizer.lr = f32::from_bits(0x3a83_126f);
    odd.optimizer.eps = f32::MIN_POSITIVE;
    odd.objective.beta = 1.0 / 3.0;
    odd.train.seed = i64::MAX as u64;
    odd.data.source = "a \"quoted\" folder\\name".into();
    configs.push(odd);
    for config in configs {
        let text = to_toml(&config);
        assert_eq!(from_toml(&text, "config.toml"), Ok(config), "{text}");
    }
}

#[test]
fn numbers_are_saved_as_people_write_them() {
    let text = to_toml(&Config::default());
    for line in ["lr = 0.001", "hidden = [400]", "beta2 = 0.999", "log_variance = [-20.0, 20.0]"] {
        assert!(text.lines().any(|l| l == line), "{line} is missing from\n{text}");
    }
}

#[test]
fn a_run_that_was_saved_before_a_key_came_is_read_as_the_default_says() {
    let text = to_toml(&Config::default());
    let later = [
        "above = ",
        "hierarchy = ",
        "norm = ",
        "condition = ",
        "prior",
        "posterior",
        "components = ",
        "scales = ",
        "white = ",
        "validation_share = ",
        "missing = ",
        "decimal = ",
        "unknown = ",
        "rounding = ",
        "monitor = ",
        "decoder_log_variance = ",
        "codes = ",
        "categories = ",
        "temperature = ",
        "temperature_epochs = ",
        "codebook",
        "commitment = ",
    ];
    let is_old = |line: &&str| !later.iter().any(|key| line.starts_with(key));
    let old: Vec<&str> = text.lines().filter(is_old).collect();
    assert_eq!(text.lines().count() - old.len(), later.len() + 11);
    let mut expected = Config::default();
    (expected.data.white, expected.data.rounding) = (White::Full, Rounding::Single);
    assert_eq!(from_toml(&old.join("\n"), "config.toml"), Ok(expected));
}

#[test]
fn the_range_of_the_decoder_is_that_of_the_posterior_unless_it_is_said() {
    let ranges = |recipe: Option<&str>, settings: &[(&str, &str)]| {
        let model = resolve(recipe, &pairs(settings)).unwrap().model;
        [model.log_variance, model.decoder_log_variance]
    };
    let (both, one) = ([-6.0, 2.0], [-3.0, 1.0]);
    assert_eq!(ranges(Some("table"), &[]), [both; 2]);
    assert_eq!(ranges(Some("table"), &[("log_variance", "[-3, 1]")]), [one; 2]);
    assert_eq!(ranges(Some("table"), &[("decoder_log_variance", "[-3, 1]")]), [both, one]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.toml");
    std::fs::write(&path, "[model]\ndecoder_log_variance = [-3, 1]\n").unwrap();
    assert_eq!(ranges(path.to_str(), &[])[1], one);
    assert_eq!(ranges(path.to_str(), &[("log_variance", "[-6, 2]")]), [both; 2]);
    let old = to_toml(&resolve(Some("table"), &[]).unwrap()).replace("decoder_log_variance = [-6.0, 2.0]\n", "");
    assert_eq!(from_toml(&old, "config.toml").unwrap().model.decoder_log_variance, both);
}

#[test]
fn a_configuration_of_an_export_is_read_and_its_faults_are_told_in_the_words_of_json() {
    let config = resolve(None, &pairs(&[("data.columns.age", "numeric"), ("encoder_layers", "[]")])).unwrap();
    let good = serde_json::to_value(&config).unwrap();
    assert_eq!(from_json(&good, "config.json"), Ok(config));
    let change = |pointer: &str, value: serde_json::Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed
    };
    let mut unknown = good.clone();
    unknown["modle"] = serde_json::json!({});
    for (value, words) in [
        (serde_json::json!(3), "`config` is no object"),
        (change("/model", serde_json::json!(3)), "`config.model` is no object"),
        (change("/model/latent", serde_json::Value::Null), "`config.model.latent` is null"),
        (change("/model/hidden", serde_json::json!([4, null])), "`config.model.hidden[1]` is null"),
        (change("/model/latent", serde_json::json!("two")), "model.latent = \"two\": expected a whole number"),
        (change("/model/activation", serde_json::json!("rlu")), "model.activation = \"rlu\": expected one of identity"),
        (change("/model/latent", serde_json::json!(0)), "model.latent = 0"),
        (unknown, "unknown key `modle` of `config`; did you mean `model`?"),
    ] {
        let error = from_json(&value, "exported/config.json").expect_err(words);
        let text = error.to_string();
        assert!(text.starts_with("exported/config.json: ") && text.contains(words), "{words}: {text}");
        assert!(!text.contains("TOML"), "{text}");
    }
}

#[test]
fn a_damaged_saved_file_is_a_data_error_that_names_the_file() {
    let good = to_toml(&Config::default());
    let rows = [
        (good.replace("latent = 20\n", ""), "model.latent is missing"),
        (good[..good.len() / 2].to_owned(), "config.toml"),
        (good.replace("latent = 20", "latent = 0"), "model.latent = 0"),
        (good.replace("latent = 20", "latent = true"), "a whole number"),
        (good.replace("latent = 20", "latent = 20\nfuture = 1"), "model.future"),
        (good.replace("relu", "r\u{0}lu"), "config.toml"),
        (String::new(), "is missing"),
        ("\u{7f}ELF".to_owned(), "not valid TOML"),
    ];
    for (text, words) in rows {
        let error = from_toml(&text, "run/config.toml").expect_err(words);
        let message = error.to_string();
        assert!(matches!(error, Error::Data(_)), "{message}");
        assert!(message.starts_with("run/config.toml: ") && message.contains(words), "{words}: {message}");
    }
}
