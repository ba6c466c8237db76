//! Recipes that come with the program.

/// The embedded recipes: name, TOML text, and a summary in one line.
pub const RECIPES: &[(&str, &str, &str)] = &[
    (
        "classic",
        include_str!("../../assets/recipes/classic.toml"),
        "784-400-20, Bernoulli on grayscale, Adam (default)",
    ),
    ("binary", include_str!("../../assets/recipes/binary.toml"), "128-64-32 on black-and-white images, RMSprop"),
    ("plane", include_str!("../../assets/recipes/plane.toml"), "128-64-32 and a 2-dimensional latent, to be drawn"),
    ("gaussian", include_str!("../../assets/recipes/gaussian.toml"), "squared error: a Gaussian decoder, sigma fixed"),
    (
        "gaussian-learned",
        include_str!("../../assets/recipes/gaussian-learned.toml"),
        "a Gaussian decoder that gives mean and log-variance",
    ),
    (
        "dynamic",
        include_str!("../../assets/recipes/dynamic.toml"),
        "200-200-50 tanh, pixels drawn anew at every use: the network of the IWAE paper",
    ),
    (
        "vamp",
        include_str!("../../assets/recipes/vamp.toml"),
        "dynamic with the posteriors of 500 learned pseudo-inputs as its prior",
    ),
    (
        "mixture-prior",
        include_str!("../../assets/recipes/mixture-prior.toml"),
        "dynamic with a mixture of 500 normal distributions as its prior",
    ),
    (
        "text",
        include_str!("../../assets/recipes/text.toml"),
        "sequences of characters: recurrent encoder and decoder of 256 units, 32 latents, word dropout",
    ),
    (
        "smiles",
        include_str!("../../assets/recipes/smiles.toml"),
        "molecules in SMILES: recurrent encoder and decoder of 256 units, 56 latents",
    ),
    (
        "music",
        include_str!("../../assets/recipes/music.toml"),
        "MIDI files as events: recurrent encoder in both directions and decoder of 256 units, 64 latents",
    ),
    ("flow-prior", include_str!("../../assets/recipes/flow-prior.toml"), "dynamic with a prior of coupling layers"),
    (
        "energy-prior",
        include_str!("../../assets/recipes/energy-prior.toml"),
        "dynamic with an energy-based prior, drawn from by Langevin steps",
    ),
    ("iaf", include_str!("../../assets/recipes/iaf.toml"), "dynamic with a posterior of inverse autoregressive flows"),
    (
        "iwae",
        include_str!("../../assets/recipes/iwae.toml"),
        "the same network by importance-weighted samples, with the optimiser and schedule of the paper",
    ),
    (
        "iwae2",
        include_str!("../../assets/recipes/iwae2.toml"),
        "two stochastic layers of 100 and 50, likewise: the deeper network of the IWAE paper",
    ),
    (
        "ladder",
        include_str!("../../assets/recipes/ladder.toml"),
        "five stochastic layers of 64 to 4 dimensions, inferred from the top down: the ladder VAE",
    ),
    (
        "factor",
        include_str!("../../assets/recipes/factor.toml"),
        "FactorVAE: ten latent dimensions that a discriminator holds independent of each other",
    ),
    (
        "wae-gan",
        include_str!("../../assets/recipes/wae-gan.toml"),
        "WAE-GAN: squared error, and a discriminator that holds latents to N(0, 1)",
    ),
    (
        "conditional",
        include_str!("../../assets/recipes/conditional.toml"),
        "200-200-50 that is told the class of each example: draws examples of a class",
    ),
    (
        "m2",
        include_str!("../../assets/recipes/m2.toml"),
        "M2: classes of examples of which few have a label, by a classifier and a VAE together",
    ),
    (
        "conv",
        include_str!("../../assets/recipes/conv.toml"),
        "convolutions of 32 and 64 channels, 32 latent dimensions, pixels drawn anew at every use",
    ),
    (
        "residual",
        include_str!("../../assets/recipes/residual.toml"),
        "convolutions with residual blocks, 32 latent dimensions: the lowest losses of digits",
    ),
    (
        "vit",
        include_str!("../../assets/recipes/vit.toml"),
        "transformers on patches of 4x4 pixels, 32 latent dimensions",
    ),
    (
        "colour",
        include_str!("../../assets/recipes/colour.toml"),
        "convolutions for colour pictures, a Gaussian decoder",
    ),
    (
        "vae-gan",
        include_str!("../../assets/recipes/vae-gan.toml"),
        "VAE-GAN: convolutions and a discriminator of pictures, in whose features reconstructions are near",
    ),
    ("vae-gan-colour", include_str!("../../assets/recipes/vae-gan-colour.toml"), "the same for colour pictures"),
    (
        "levels",
        include_str!("../../assets/recipes/levels.toml"),
        "the same for pictures of 256 levels, a discretised logistic: bits per value",
    ),
    (
        "mixture",
        include_str!("../../assets/recipes/mixture.toml"),
        "likewise, a mixture of logistics with scales of each pixel",
    ),
    (
        "categorical",
        include_str!("../../assets/recipes/categorical.toml"),
        "200-200-20x10 tanh, latents that are categories: Gumbel-softmax",
    ),
    (
        "vq",
        include_str!("../../assets/recipes/vq.toml"),
        "VQ-VAE for small images in black and white: 512 codes in a grid of a quarter of the sides",
    ),
    (
        "vq-colour",
        include_str!("../../assets/recipes/vq-colour.toml"),
        "VQ-VAE for pictures of 256 levels: 512 codes, bits per value",
    ),
    (
        "codes-prior",
        include_str!("../../assets/recipes/codes-prior.toml"),
        "the prior of a VQ-VAE's codes, for `--prior-of RUN`: gated masked convolutions",
    ),
    (
        "counts",
        include_str!("../../assets/recipes/counts.toml"),
        "128-128-10 for arrays of counts, a negative binomial",
    ),
    (
        "cells",
        include_str!("../../assets/recipes/cells.toml"),
        "128-10 for genes that were counted in cells, a zero-inflated negative binomial and the cell's total: scVI (default for .h5ad)",
    ),
    (
        "recommend",
        include_str!("../../assets/recipes/recommend.toml"),
        "600-200 tanh for users and what each chose, a multinomial: Mult-VAE",
    ),
    (
        "categories",
        include_str!("../../assets/recipes/categories.toml"),
        "128-128-10 for arrays and tables in which every value is one of a few categories",
    ),
    (
        "table",
        include_str!("../../assets/recipes/table.toml"),
        "columns of several types, with missing values (default for .csv and .tsv)",
    ),
    (
        "nvae",
        include_str!("../../assets/recipes/nvae.toml"),
        "ten groups of latents at two resolutions from the top down, in residual cells: a small NVAE",
    ),
    ("anomaly", include_str!("../../assets/recipes/anomaly.toml"), "64-16 for tables of numbers, to score anomalies"),
];

#[cfg(test)]
mod tests {
    use super::RECIPES;
    use crate::config::{Binarise, Config, Likelihood, OptimizerKind, parameter_count, resolve};
    use crate::graph::op::Source;
    use crate::model::Model;

    #[test]
    fn every_recipe_resolves_under_its_own_name_and_says_what_it_is_for() {
        for (name, text, summary) in RECIPES {
            let config = resolve(Some(name), &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(&config.name, name);
            assert_eq!(config.data.source, "glyphs", "{name} leaves the data to whoever trains");
            assert!(!text.contains("source ="), "{name} pins its data source");
            assert!(text.starts_with("# ") && text.contains("\n# Source: ") && text.contains("\n# Expect: "), "{name}");
            assert!(!summary.is_empty() && !summary.contains('\n'), "{name}");
        }
    }

    #[test]
    fn the_default_is_the_classic_recipe() {
        assert_eq!(resolve(None, &[]).unwrap(), Config::default());
        assert_eq!(resolve(Some("classic"), &[]).unwrap(), Config::default());
    }

    #[test]
    fn the_recipes_are_the_networks_they_are_called_after() {
        type Row = (&'static str, &'static [usize], usize, Likelihood, Binarise, OptimizerKind, u64);
        let rows: &[Row] = &[
            ("classic", &[400], 20, Likelihood::Bernoulli, Binarise::None, OptimizerKind::Adam, 652_824),
            ("binary", &[128, 64], 32, Likelihood::Bernoulli, Binarise::Threshold, OptimizerKind::Rmsprop, 224_464),
            ("plane", &[128, 64, 32], 2, Likelihood::Bernoulli, Binarise::None, OptimizerKind::Adam, 222_612),
            ("gaussian", &[400], 20, Likelihood::Gaussian, Binarise::None, OptimizerKind::Adam, 652_824),
            ("gaussian-learned", &[400], 20, Likelihood::GaussianLearned, Binarise::None, OptimizerKind::Adam, 967_208),
            ("dynamic", &[200, 200], 50, Likelihood::Bernoulli, Binarise::Dynamic, OptimizerKind::Adam, 425_284),
            ("categorical", &[200, 200], 200, Likelihood::Bernoulli, Binarise::Dynamic, OptimizerKind::Adam, 475_384),
            // Without the tensors of priors and posteriors.
            ("vamp", &[200, 200], 50, Likelihood::Bernoulli, Binarise::Dynamic, OptimizerKind::Adam, 425_284),
            ("mixture-prior", &[200, 200], 50, Likelihood::Bernoulli, Binarise::Dynamic, OptimizerKind::Adam, 425_284),
            ("flow-prior", &[200, 200], 50, Likelihood::Bernoulli, Binarise::Dynamic, OptimizerKind::Adam, 425_284),
            ("energy-prior", &[200, 200], 50, Likelihood::Bernoulli, Binarise::Dynamic, OptimizerKind::Adam, 425_284),
            ("iaf", &[200, 200], 50, Likelihood::Bernoulli, Binarise::Dynamic, OptimizerKind::Adam, 425_284),
            ("iwae", &[200, 200], 50, Likelihood::Bernoulli, Binarise::Dynamic, OptimizerKind::Adam, 425_284),
            ("iwae2", &[200, 200], 100, Likelihood::Bernoulli, Binarise::Dynamic, OptimizerKind::Adam, 521_084),
            ("ladder", &[512, 512], 64, Likelihood::Bernoulli, Binarise::Dynamic, OptimizerKind::Adam, 1_862_904),
            ("factor", &[400], 10, Likelihood::Bernoulli, Binarise::None, OptimizerKind::Adam, 966_405),
            ("wae-gan", &[400], 8, Likelihood::Gaussian, Binarise::None, OptimizerKind::Adam, 838_337),
            // Without classifier and classes, of which the data say how many there are.
            ("m2", &[500], 50, Likelihood::Bernoulli, Binarise::Dynamic, OptimizerKind::Adam, 860_884),
            // Without classes, of which the data say how many there are.
            ("conditional", &[200, 200], 50, Likelihood::Bernoulli, Binarise::Dynamic, OptimizerKind::Adam, 425_284),
            ("table", &[64, 64], 8, Likelihood::Heterogeneous, Binarise::None, OptimizerKind::Adam, 162_096),
            ("counts", &[128, 128], 10, Likelihood::NegativeBinomial, Binarise::None, OptimizerKind::Adam, 238_628),
            ("categories", &[128, 128], 10, Likelihood::Categorical, Binarise::None, OptimizerKind::Adam, 238_628),
            ("anomaly", &[64], 16, Likelihood::Gaussian, Binarise::None, OptimizerKind::Adam, 104_368),
        ];
        // Those of layers are counted once they have data.
        let layers: &[(&str, usize, Likelihood, Binarise, u64)] = &[
            ("conv", 32, Likelihood::Bernoulli, Binarise::Dynamic, 1_700_609),
            ("residual", 32, Likelihood::Bernoulli, Binarise::Dynamic, 1_516_469),
            ("nvae", 20, Likelihood::Bernoulli, Binarise::Dynamic, 144_029),
            ("vit", 32, Likelihood::Bernoulli, Binarise::Dynamic, 446_785),
            ("colour", 64, Likelihood::Gaussian, Binarise::None, 1_799_105),
            ("vae-gan", 32, Likelihood::Bernoulli, Binarise::None, 2_135_650),
            ("vae-gan-colour", 64, Likelihood::Gaussian, Binarise::None, 2_672_738),
            ("levels", 64, Likelihood::LogisticMixture, Binarise::None, 1_833_443),
            ("mixture", 64, Likelihood::LogisticMixture, Binarise::None, 1_846_767),
            ("vq", 16, Likelihood::Bernoulli, Binarise::Dynamic, 168_017),
            ("recommend", 200, Likelihood::Multinomial, Binarise::None, 1_303_184),
            // With a library size, dispersions, two numbers for each value, and running moments.
            ("cells", 10, Likelihood::ZeroInflatedNegativeBinomial, Binarise::None, 308_549),
            ("vq-colour", 64, Likelihood::LogisticMixture, Binarise::None, 709_315),
        ];
        // It is no autoencoder: an embedding, eight layers and the head.
        let config = resolve(Some("codes-prior"), &[]).unwrap();
        let model = Model::with(&config, [1, 7, 7], Source::Floats, None, false, 0).unwrap();
        let count: usize = model.parameters().iter().map(|parameter| parameter.shape.count()).sum();
        let map = |inputs: usize, outputs: usize| (64 * inputs + 1) * outputs;
        let first = map(3, 128) + map(3, 128) + map(1, 64);
        let others = 7 * (map(6, 128) + map(4, 128) + map(1, 64));
        assert_eq!(count, 512 * 64 + first + others + map(1, 64) + map(1, 512));
        // Embeddings, what begins the decoder, recurrent layers of 256 units, and the heads.
        for (name, vocabulary, latent) in [("text", 100, 32), ("smiles", 40, 56)] {
            let config = resolve(Some(name), &[]).unwrap();
            let model = Model::with(&config, [1, 1, 65], Source::Tokens(vocabulary), None, false, 0).unwrap();
            let count: usize = model.parameters().iter().map(|parameter| parameter.shape.count()).sum();
            let layer = |inputs: usize| (inputs + 1 + 257) * 768;
            let heads = 257 * (2 * latent + vocabulary);
            assert_eq!(
                count,
                2 * 64 * vocabulary + layer(64) + layer(64 + latent) + (latent + 1) * 256 + heads,
                "{name}"
            );
        }
        let config = resolve(Some("music"), &[]).unwrap();
        let model = Model::with(&config, [1, 1, 65], Source::Tokens(60), None, false, 0).unwrap();
        let count: usize = model.parameters().iter().map(|parameter| parameter.shape.count()).sum();
        let layer = |inputs: usize| (inputs + 1 + 257) * 768;
        assert_eq!(count, 2 * 64 * 60 + 2 * layer(64) + layer(128) + 65 * 256 + 513 * 128 + 257 * 60);
        assert_eq!(rows.len() + layers.len() + 4, RECIPES.len());
        for (name, latent, likelihood, binarise, parameters) in layers {
            let config = resolve(Some(name), &[]).unwrap();
            assert_eq!((config.model.latent, config.model.likelihood), (*latent, *likelihood), "{name}");
            assert_eq!(config.data.binarise, *binarise, "{name}");
            let model = Model::with(&config, [1, 28, 28], Source::Bytes, None, false, 10).unwrap();
            let count: usize = model.parameters().iter().map(|parameter| parameter.shape.count()).sum();
            assert_eq!(count as u64, *parameters, "{name}");
            for shape in [[3, 32, 32], [1, 64, 48], [3, 128, 128]] {
                Model::with(&config, shape, Source::Bytes, None, false, 10)
                    .expect("the recipe takes images of all sizes");
            }
        }
        for (name, hidden, latent, likelihood, binarise, kind, parameters) in rows {
            let config = resolve(Some(name), &[]).unwrap();
            assert_eq!((&config.model.hidden[..], config.model.latent), (*hidden, *latent), "{name}");
            assert_eq!((config.model.likelihood, config.data.binarise), (*likelihood, *binarise), "{name}");
            assert_eq!(config.optimizer.kind, *kind, "{name}");
            let outputs = crate::model::likelihood::outputs(&config.model, [1, 28, 28]);
            assert_eq!(parameter_count(&config.model, 784, outputs), Some(*parameters), "{name}");
        }
    }
}
