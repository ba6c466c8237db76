use super::*;
use crate::config::{Cell, LibrarySize};

/// A list with batch normalisation.
fn normalised() -> Layers {
    Layers::words(&["dense 4", "batch-norm"]).unwrap()
}

#[test]
fn every_value_out_of_range_is_a_usage_error_that_names_key_and_value() {
    type Change = fn(&mut Config);
    let rows: &[(&str, &str, Change)] = &[
        ("name", "\"\"", |c| c.name = String::new()),
        ("name", "../up", |c| c.name = "../up".into()),
        ("data.source", "\"\"", |c| c.data.source = " ".into()),
        ("data.examples", "9", |c| c.data.examples = 9),
        ("data.examples", "16777217", |c| c.data.examples = MAX_EXAMPLES + 1),
        ("data.validation", "16777217", |c| c.data.validation = MAX_EXAMPLES + 1),
        ("data.test", "NaN", |c| c.data.test = f32::NAN),
        ("data.test", "1", |c| c.data.test = 1.0),
        ("data.resize", "28", |c| c.data.resize = "28".into()),
        ("data.resize", "0x28", |c| c.data.resize = "0x28".into()),
        ("data.resize", "28x99999", |c| c.data.resize = "28x99999".into()),
        ("model.hidden[1]", "0", |c| c.model.hidden = vec![8, 0]),
        ("model.hidden[0]", "1048577", |c| c.model.hidden = vec![MAX_WIDTH + 1]),
        ("model.hidden", "1", |c| (c.model.hidden, c.model.norm) = (vec![8, 1], Norm::Layer)),
        ("objective.free_bits", "1", |c| (c.model.above, c.objective.free_bits) = (vec!["2".into()], 1.0)),
        ("model.hidden", "65 layers", |c| c.model.hidden = vec![1; 65]),
        ("model.decoder[0]", "0", |c| c.model.decoder = vec![0]),
        ("model.latent", "0", |c| c.model.latent = 0),
        ("data.binarise", "dynamic", |c| {
            (c.model.likelihood, c.data.binarise) = (Likelihood::Poisson, Binarise::Dynamic);
        }),
        ("data.binarise", "threshold", |c| {
            (c.model.likelihood, c.data.binarise) = (Likelihood::NegativeBinomial, Binarise::Threshold);
        }),
        ("data.binarise", "dynamic", |c| {
            (c.model.likelihood, c.data.binarise) = (Likelihood::Heterogeneous, Binarise::Dynamic);
        }),
        ("data.binarise", "threshold", |c| {
            (c.model.likelihood, c.data.binarise) = (Likelihood::Categorical, Binarise::Threshold);
        }),
        ("model.library_size", "observed", |c| c.model.library_size = LibrarySize::Observed),
        ("model.codes", "8", |c| {
            (c.model.likelihood, c.model.library_size, c.model.codes) = (Likelihood::Poisson, LibrarySize::Observed, 8);
        }),
        ("data.scale", "standardise", |c| {
            (c.model.likelihood, c.data.scale) = (Likelihood::Categorical, Scale::Standardise);
        }),
        ("model.encoder_layers", "257 layers", |c| c.model.encoder_layers = Layers::words(&["relu"; 257]).unwrap()),
        ("model.latent", &usize::MAX.to_string(), |c| c.model.latent = usize::MAX),
        ("model.sigma", "0", |c| c.model.sigma = 0.0),
        ("model.sigma", "-1", |c| c.model.sigma = -1.0),
        ("model.sigma", "NaN", |c| c.model.sigma = f32::NAN),
        ("model.sigma", "inf", |c| c.model.sigma = f32::INFINITY),
        ("model.log_variance", "[1, -1]", |c| c.model.log_variance = [1.0, -1.0]),
        ("model.log_variance", "[2, 2]", |c| c.model.log_variance = [2.0, 2.0]),
        ("model.log_variance", "[NaN, 2]", |c| c.model.log_variance = [f32::NAN, 2.0]),
        ("model.decoder_log_variance", "[2, 2]", |c| c.model.decoder_log_variance = [2.0, 2.0]),
        ("model.log_variance", "[-2, inf]", |c| c.model.log_variance = [-2.0, f32::INFINITY]),
        ("model.hidden", "1048576", |c| c.model.hidden = vec![MAX_WIDTH; 64]),
        ("objective.beta", "NaN", |c| c.objective.beta = f32::NAN),
        ("objective.beta", "-0.5", |c| c.objective.beta = -0.5),
        ("objective.beta", "inf", |c| c.objective.beta = f32::INFINITY),
        ("objective.samples", "0", |c| c.objective.samples = 0),
        ("objective.groups", "2", |c| {
            (c.objective.bound, c.objective.samples, c.objective.groups) = (Bound::Miwae, 5, 2);
        }),
        ("objective.groups", "0", |c| c.objective.groups = 0),
        ("objective.groups", "2", |c| (c.objective.samples, c.objective.groups) = (4, 2)),
        ("objective.beta", "2", |c| (c.objective.bound, c.objective.beta) = (Bound::Iwae, 2.0)),
        ("objective.anneal", "linear", |c| (c.objective.bound, c.objective.anneal) = (Bound::Iwae, Anneal::Linear)),
        ("objective.free_bits", "0.5", |c| (c.objective.bound, c.objective.free_bits) = (Bound::Iwae, 0.5)),
        ("objective.capacity", "5", |c| (c.objective.bound, c.objective.capacity) = (Bound::Ciwae, 5.0)),
        ("objective.capacity", "5", |c| (c.objective.free_bits, c.objective.capacity) = (0.1, 5.0)),
        ("objective.free_group", "3", |c| c.objective.free_group = 3),
        ("objective.tc", "-1", |c| c.objective.tc = -1.0),
        ("objective.tc", "6", |c| (c.objective.tc, c.objective.bound) = (6.0, Bound::Iwae)),
        ("objective.mmd", "inf", |c| c.objective.mmd = f32::INFINITY),
        ("objective.samples", "2", |c| (c.objective.mmd, c.objective.samples) = (1.0, 2)),
        ("objective.covariance", "-1", |c| c.objective.covariance = -1.0),
        ("objective.variance", "NaN", |c| c.objective.variance = f32::NAN),
        ("objective.variance", "5", |c| (c.objective.variance, c.objective.bound) = (5.0, Bound::Iwae)),
        ("objective.samples", "2", |c| (c.objective.covariance, c.objective.samples) = (1.0, 2)),
        ("objective.factor", "-1", |c| c.objective.factor = -1.0),
        ("model.discriminator", "[]", |c| c.objective.factor = 6.0),
        ("model.discriminator", "[8]", |c| c.model.discriminator = vec![8]),
        ("model.discriminator[1]", "0", |c| (c.objective.factor, c.model.discriminator) = (6.0, vec![8, 0])),
        ("objective.factor", "6", |c| {
            (c.objective.factor, c.model.discriminator, c.objective.bound) = (6.0, vec![8], Bound::Iwae);
        }),
        ("objective.samples", "2", |c| {
            (c.objective.factor, c.model.discriminator, c.objective.samples) = (6.0, vec![8], 2);
        }),
        ("model.latent", "1", |c| {
            (c.objective.factor, c.model.discriminator, c.model.latent) = (6.0, vec![8], 1);
        }),
        ("train.batch", "16777216", |c| {
            (c.objective.factor, c.model.discriminator, c.train.batch) = (6.0, vec![8], MAX_EXAMPLES);
        }),
        ("objective.label_smoothing", "0.1", |c| {
            (c.objective.factor, c.model.discriminator, c.objective.label_smoothing) = (6.0, vec![8], 0.1);
        }),
        ("model.discriminator_spectral", "true", |c| {
            (c.objective.factor, c.model.discriminator, c.model.discriminator_spectral) = (6.0, vec![8], true);
        }),
        ("objective.features", "-1", |c| c.objective.features = -1.0),
        ("objective.instance_noise", "-1", |c| c.objective.instance_noise = -1.0),
        ("objective.instance_noise_epochs", "-1", |c| c.objective.instance_noise_epochs = -1.0),
        ("model.discriminator_layers", "[]", |c| c.objective.features = 1.0),
        ("model.discriminator_layers", "1 layers", |c| {
            c.model.discriminator_layers = Layers::words(&["relu"]).unwrap();
        }),
        ("model.discriminator_features", "2", |c| {
            (c.objective.features, c.model.discriminator_features) = (1.0, 2);
            c.model.discriminator_layers = Layers::words(&["relu"]).unwrap();
        }),
        ("model.prior_steps", "0", |c| c.model.prior_steps = 0),
        ("model.prior_step", "0", |c| c.model.prior_step = 0.0),
        ("train.accumulate", "2", |c| (c.model.prior, c.train.accumulate) = (Prior::Energy, 2)),
        ("objective.features", "1", |c| {
            (c.model.prior, c.objective.features) = (Prior::Energy, 1.0);
            c.model.discriminator_layers = Layers::words(&["relu"]).unwrap();
        }),
        ("optimizer.discriminator_lr", "0", |c| c.optimizer.discriminator_lr = 0.0),
        ("optimizer.discriminator_beta1", "1", |c| c.optimizer.discriminator_beta1 = 1.0),
        ("optimizer.discriminator_beta2", "NaN", |c| c.optimizer.discriminator_beta2 = f32::NAN),
        ("optimizer.discriminator_every", "0", |c| c.optimizer.discriminator_every = 0),
        ("data.length", "0", |c| c.data.length = 0),
        ("data.grid", "97", |c| c.data.grid = 97),
        ("model.embedding", "0", |c| c.model.embedding = 0),
        ("model.word_dropout", "1", |c| c.model.word_dropout = 1.0),
        ("model.heads", "0", |c| c.model.heads = 0),
        ("model.heads", "3", |c| {
            (c.model.likelihood, c.model.cell, c.model.heads) = (Likelihood::Tokens, Cell::Transformer, 3);
        }),
        ("model.bidirectional", "true", |c| {
            (c.model.likelihood, c.model.cell, c.model.bidirectional) = (Likelihood::Tokens, Cell::Transformer, true);
        }),
        ("model.hidden", "[2000]", |c| (c.model.likelihood, c.model.hidden) = (Likelihood::Tokens, vec![2000])),
        ("model.decoder", "[9, 2000]", |c| (c.model.likelihood, c.model.decoder) = (Likelihood::Tokens, vec![9, 2000])),
        ("model.hidden", "[]", |c| (c.model.likelihood, c.model.hidden) = (Likelihood::Tokens, vec![])),
        ("model.codes", "8", |c| (c.model.likelihood, c.model.codes) = (Likelihood::Tokens, 8)),
        ("model.prior", "vamp", |c| (c.model.likelihood, c.model.prior) = (Likelihood::Tokens, Prior::Vamp)),
        ("model.condition", "label", |c| {
            (c.model.likelihood, c.model.condition) = (Likelihood::Tokens, Condition::Label);
        }),
        ("model.norm", "layer", |c| (c.model.likelihood, c.model.norm) = (Likelihood::Tokens, Norm::Layer)),
        ("data.scale", "unit", |c| (c.model.likelihood, c.data.scale) = (Likelihood::Tokens, Scale::Unit)),
        ("model.categories", "[5]", |c| c.model.categories = vec![5]),
        ("model.categories", "[5, 1]", |c| c.model.categories = vec![5, 1]),
        ("model.categories", "[0, 2]", |c| c.model.categories = vec![0, 2]),
        ("model.categories", "[3, 7]", |c| c.model.categories = vec![3, 7]),
        ("model.codes", "8", |c| (c.model.categories, c.model.codes) = (vec![2, 3], 8)),
        ("model.condition", "inferred", |c| {
            (c.model.categories, c.model.condition) = (vec![2, 3], Condition::Inferred);
        }),
        ("model.prior", "vamp", |c| (c.model.categories, c.model.prior) = (vec![2, 3], Prior::Vamp)),
        ("model.posterior", "iaf", |c| (c.model.categories, c.model.posterior) = (vec![2, 3], Posterior::Iaf)),
        ("objective.mmd", "1", |c| (c.model.categories, c.objective.mmd) = (vec![2, 3], 1.0)),
        ("objective.samples", "2", |c| (c.model.categories, c.objective.samples) = (vec![2, 3], 2)),
        ("objective.temperature", "0", |c| c.objective.temperature = [1.0, 0.0]),
        ("objective.temperature", "NaN", |c| c.objective.temperature = [f32::NAN, 0.5]),
        ("objective.temperature_epochs", "-1", |c| c.objective.temperature_epochs = -1.0),
        ("model.codes", "1", |c| c.model.codes = 1),
        ("model.codes", "65537", |c| c.model.codes = 65537),
        ("model.prior_codes", "1", |c| c.model.prior_codes = 1),
        ("model.prior_codes", "9", |c| (c.model.codes, c.model.prior_codes) = (8, 9)),
        ("model.prior_width", "1", |c| (c.model.prior_codes, c.model.prior_width) = (8, 1)),
        ("model.likelihood", "gaussian", |c| {
            (c.model.prior_codes, c.model.likelihood) = (8, Likelihood::Gaussian);
        }),
        ("objective.beta", "4", |c| (c.model.prior_codes, c.objective.beta) = (8, 4.0)),
        ("model.codebook_decay", "1", |c| c.model.codebook_decay = 1.0),
        ("model.codebook_restart", "NaN", |c| c.model.codebook_restart = f32::NAN),
        ("objective.commitment", "-1", |c| c.objective.commitment = -1.0),
        ("objective.beta", "4", |c| (c.model.codes, c.objective.beta) = (8, 4.0)),
        ("objective.mmd", "1", |c| (c.model.codes, c.objective.mmd) = (8, 1.0)),
        ("objective.samples", "2", |c| (c.model.codes, c.objective.samples) = (8, 2)),
        ("objective.bound", "iwae", |c| (c.model.codes, c.objective.bound) = (8, Bound::Iwae)),
        ("model.prior", "vamp", |c| (c.model.codes, c.model.prior) = (8, Prior::Vamp)),
        ("model.posterior", "iaf", |c| (c.model.codes, c.model.posterior) = (8, Posterior::Iaf)),
        ("model.condition", "label", |c| (c.model.codes, c.model.condition) = (8, Condition::Label)),
        ("train.accumulate", "2", |c| (c.model.codes, c.train.accumulate) = (8, 2)),
        ("model.condition", "inferred", |c| (c.model.codes, c.model.condition) = (8, Condition::Inferred)),
        ("model.classifier[1]", "0", |c| c.model.classifier = vec![8, 0]),
        ("objective.classify", "-1", |c| c.objective.classify = -1.0),
        ("data.labelled", "16777217", |c| c.data.labelled = MAX_EXAMPLES + 1),
        ("data.labelled_seed", "9223372036854775808", |c| c.data.labelled_seed = 1 << 63),
        ("train.labelled", "16777217", |c| c.train.labelled = MAX_EXAMPLES + 1),
        ("train.labelled", "128", |c| (c.model.condition, c.train.labelled) = (Condition::Inferred, 128)),
        ("train.accumulate", "2", |c| (c.model.condition, c.train.accumulate) = (Condition::Inferred, 2)),
        ("model.above", "[\"2\"]", |c| {
            (c.model.condition, c.model.above) = (Condition::Inferred, vec!["2".into()]);
        }),
        ("model.prior", "laplace", |c| (c.model.condition, c.model.prior) = (Condition::Inferred, Prior::Laplace)),
        ("model.posterior", "iaf", |c| {
            (c.model.condition, c.model.posterior) = (Condition::Inferred, Posterior::Iaf);
        }),
        ("objective.tc", "6", |c| (c.model.condition, c.objective.tc) = (Condition::Inferred, 6.0)),
        ("objective.mmd", "1", |c| (c.model.condition, c.objective.mmd) = (Condition::Inferred, 1.0)),
        ("objective.free_bits", "1", |c| {
            (c.model.condition, c.objective.free_bits) = (Condition::Inferred, 1.0);
        }),
        ("objective.samples", "2", |c| (c.model.condition, c.objective.samples) = (Condition::Inferred, 2)),
        ("objective.bound", "iwae", |c| {
            (c.model.condition, c.objective.bound) = (Condition::Inferred, Bound::Iwae);
        }),
        ("objective.share", "1.5", |c| c.objective.share = 1.5),
        ("objective.anneal_epochs", "0", |c| c.objective.anneal_epochs = 0.0),
        ("objective.anneal_share", "0", |c| c.objective.anneal_share = 0.0),
        ("train.accumulate", "2", |c| (c.train.accumulate, c.objective.free_bits) = (2, 0.1)),
        ("optimizer.lr", "0", |c| c.optimizer.lr = 0.0),
        ("optimizer.lr", "-0.001", |c| c.optimizer.lr = -0.001),
        ("optimizer.lr", "NaN", |c| c.optimizer.lr = f32::NAN),
        ("optimizer.lr", "inf", |c| c.optimizer.lr = f32::INFINITY),
        ("optimizer.beta1", "1", |c| c.optimizer.beta1 = 1.0),
        ("optimizer.beta2", "-0.1", |c| c.optimizer.beta2 = -0.1),
        ("optimizer.beta2", "NaN", |c| c.optimizer.beta2 = f32::NAN),
        ("optimizer.alpha", "1.5", |c| c.optimizer.alpha = 1.5),
        ("optimizer.momentum", "1", |c| c.optimizer.momentum = 1.0),
        ("optimizer.eps", "0", |c| c.optimizer.eps = 0.0),
        ("optimizer.weight_decay", "-1", |c| c.optimizer.weight_decay = -1.0),
        ("optimizer.clip_norm", "NaN", |c| c.optimizer.clip_norm = f32::NAN),
        ("optimizer.ema", "1", |c| c.optimizer.ema = 1.0),
        ("optimizer.initial_second_moment", "-1", |c| c.optimizer.initial_second_moment = -1.0),
        ("schedule.warmup", "-1", |c| c.schedule.warmup = -1.0),
        ("schedule.wait", "0", |c| c.schedule.wait = 0),
        ("schedule.min_factor", "1.5", |c| c.schedule.min_factor = 1.5),
        ("schedule.milestones", "[3, 3]", |c| c.schedule.milestones = vec![3, 3]),
        ("schedule.milestones", "[0]", |c| c.schedule.milestones = vec![0]),
        ("schedule.milestones", "[]", |c| c.schedule.curve = Curve::Steps),
        ("schedule.gamma[0]", "0", |c| c.schedule.gamma = vec![0.0]),
        ("schedule.gamma", "[0.5, 0.1]", |c| {
            (c.schedule.curve, c.schedule.milestones, c.schedule.gamma) = (Curve::Steps, vec![1, 2, 3], vec![0.5, 0.1]);
        }),
        ("schedule.gamma", "[2.0]", |c| (c.schedule.curve, c.schedule.gamma) = (Curve::Plateau, vec![2.0])),
        ("train.accumulate", "0", |c| c.train.accumulate = 0),
        ("train.accumulate", "3", |c| c.train.accumulate = 3),
        ("train.accumulate", "2", |c| (c.model.norm, c.train.accumulate) = (Norm::Batch, 2)),
        ("train.batch", "1", |c| (c.model.hidden, c.model.encoder_layers, c.train.batch) = (vec![], normalised(), 1)),
        ("model.norm", "batch", |c| {
            (c.model.norm, c.model.discriminator, c.objective.factor) = (Norm::Batch, vec![8], 1.0);
        }),
        ("model.norm", "batch", |c| (c.model.norm, c.model.condition) = (Norm::Batch, Condition::Inferred)),
        ("model.discriminator_layers", "batch-norm", |c| c.model.discriminator_layers = normalised()),
        ("train.patience", "1000001", |c| c.train.patience = 1_000_001),
        ("train.epochs", "0", |c| c.train.epochs = 0),
        ("train.batch", "0", |c| c.train.batch = 0),
        ("train.batch", "16777217", |c| c.train.batch = MAX_EXAMPLES + 1),
        ("train.checkpoint_steps", "4294967296", |c| c.train.checkpoint_steps = 1 << 32),
        ("train.seed", "9223372036854775808", |c| c.train.seed = 1 << 63),
    ];
    for (key, value, change) in rows {
        let mut config = Config::default();
        change(&mut config);
        let error = validate(&config).expect_err(&format!("{key} = {value} is accepted"));
        let text = error.to_string();
        assert!(matches!(error, Error::Usage(_)), "{text}");
        assert!(text.starts_with(&format!("{key} = ")) && text.contains(value), "{key} = {value}: {text}");
        assert!(!text.contains('\n'), "{text}");
    }
}

#[test]
fn layers_that_are_none_are_refused_by_their_place() {
    let lists: &[(&[&str], &[&str], &str)] = &[
        (&["conv out kernel 3"], &[], "model.encoder_layers[0] `conv out kernel 3` gives `out`"),
        (&[], &["dense out", "relu"], "model.decoder_layers[0] `dense out` gives `out`"),
    ];
    for (encoder, decoder, expected) in lists {
        let mut config = Config::default();
        config.model.hidden = vec![];
        [config.model.encoder_layers, config.model.decoder_layers] =
            [encoder, decoder].map(|words| Layers::words(words).unwrap());
        let error = validate(&config).expect_err(expected).to_string();
        assert!(error.starts_with(expected) && !error.contains('\n'), "{error}");
    }
    let mut config = Config::default();
    config.model.encoder_layers = Layers::words(&["dense 9"]).unwrap();
    let error = validate(&config).unwrap_err().to_string();
    assert!(error.contains("model.hidden = [400] and model.encoder_layers") && error.contains("model.hidden=[]"));
}

#[test]
fn layers_of_pictures_are_refused_for_categories() {
    for (layer, refused) in [
        ("dense 9", false),
        ("layer-norm", false),
        ("conv 8 kernel 1", true),
        ("avg-pool 2", true),
        ("upsample 2", true),
        ("dense 7x7x2", true),
        ("dense data/2x4", true),
    ] {
        let mut config = Config::default();
        config.model.likelihood = Likelihood::Categorical;
        config.model.decoder_layers = Layers::words(&["relu", layer]).unwrap();
        let found = validate(&config).map_err(|error| error.to_string());
        assert_eq!(found.is_err(), refused, "{layer}: {found:?}");
        let start = format!("model.decoder_layers[1] `{layer}` is for pictures");
        assert!(found.is_ok() || found.is_err_and(|text| text.starts_with(&start)), "{layer}");
    }
}

#[test]
fn values_at_the_edge_of_what_is_allowed_pass() {
    type Change = fn(&mut Config);
    let rows: &[(&str, Change)] = &[
        ("beta 0", |c| c.objective.beta = 0.0),
        ("no hidden layer", |c| c.model.hidden = vec![]),
        ("identity", |c| c.model.activation = crate::config::Activation::Identity),
        ("latent 1", |c| c.model.latent = 1),
        ("decays 0", |c| (c.optimizer.beta1, c.optimizer.beta2, c.optimizer.alpha) = (0.0, 0.0, 0.0)),
        ("the largest seed", |c| c.train.seed = i64::MAX as u64),
        ("log-variance", |c| c.model.log_variance = [-80.0, 80.0]),
    ];
    for (what, change) in rows {
        let mut config = Config::default();
        change(&mut config);
        assert_eq!(validate(&config), Ok(()), "{what}");
    }
}

#[test]
fn parameters_are_counted_and_an_overflow_is_none() {
    let mut model = Config::default().model;
    assert_eq!(parameter_count(&model, 784, 784), Some(652_824));
    model.decoder = vec![10];
    assert_eq!(parameter_count(&model, 3, 3), Some(4 * 400 + 401 * 40 + 21 * 10 + 11 * 3));
    model.latent = usize::MAX;
    assert_eq!(parameter_count(&model, 784, 784), None);
    model.latent = 2;
    // A list of layers takes the place of widths, also of those of the encoder backwards.
    (model.hidden, model.decoder) = (vec![400], vec![]);
    model.decoder_layers = Layers::words(&["dense out"]).unwrap();
    assert_eq!(parameter_count(&model, 784, 784), Some(785 * 400 + 401 * 4));
    model.encoder_layers = Layers::words(&["relu"]).unwrap();
    assert_eq!(parameter_count(&model, 784, 784), Some(0));
    (model.encoder_layers, model.decoder_layers) = (Layers::default(), Layers::default());
    model.hidden = vec![usize::MAX, 2];
    assert_eq!(parameter_count(&model, 784, 784), None);
}

#[test]
fn a_batch_beyond_the_data_names_both_numbers() {
    let error = batch_exceeds(128, 100);
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("128") && error.to_string().contains("100"));
}
