//! Models of several stochastic layers: what each layer costs, how latents are drawn, and what is refused.

use crate::program::{elbo, files};
use crate::support::executors;
use elbo::config::{self, Config};
use elbo::data::{Dataset, Values};
use elbo::eval;
use elbo::model::tasks::{EVALUATE, SAMPLE};
use elbo::plan::Role;
use elbo::rng::Stream;
use elbo::session::{BATCH, Purpose, Session};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Three stochastic layers, of 4, 3 and 2 dimensions.
const TINY: &str = "--recipe iwae2 --adapter cpu --set data.examples=300 --set hidden=[12] --latent 4 --set above=[7-3,2] \
                    --set data.validation=30 --batch 50 --epochs 2 --lr 0.003";

fn trained() -> &'static Path {
    static RUN: OnceLock<TempDir> = OnceLock::new();
    let folder = RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        elbo(folder.path(), &format!("train {TINY} --out run")).succeeded();
        folder
    });
    folder.path()
}

/// A model of three layers whose networks say nothing of what they read: z1 has 4 dimensions, z2 has 3, z3 has 2.
fn silent(device: usize) -> Session {
    let settings = [("hidden", "[5]"), ("latent", "4"), ("above", "[7-3,2]")];
    let settings: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let config: Config = config::resolve(None, &settings).unwrap();
    let data = Dataset::new("zeros", [1, 1, 6], Values::U8(vec![0; 6 * 200]), None, 50, 0).unwrap();
    let mut session = Session::new(config, data, executors().swap_remove(device)).unwrap();
    session.plan(Purpose::task(EVALUATE, BATCH)).unwrap();
    for range in session.ranges() {
        session.executor.write_f32(&Role::Parameters, range.offset, &vec![0.0; range.count()]).unwrap();
    }
    session
}

/// Sets the biases of a network's last layer, which is then all that it says.
fn say(session: &mut Session, head: &str, biases: &[f32]) {
    let range = session.ranges().into_iter().find(|range| range.name == head).expect("there is such a layer");
    let at = range.offset + range.count() - biases.len();
    session.executor.write_f32(&Role::Parameters, at, biases).unwrap();
}

/// Pixels are one half whatever is drawn, so −log p(x) is known; what the layers cost is the KL between what q and p say.
#[test]
fn rates_of_layers_and_the_likelihood_are_those_of_a_model_that_can_be_solved() {
    for device in 0..executors().len() {
        let mut session = silent(device);
        // p(z1|z2) = N(0.5, e^0.2), p(z2|z3) = N(-0.3, 1), q(z3|z2) = N(0.4, e^-0.3).
        say(&mut session, "decoder2.head", &[[0.5; 4], [0.2; 4]].concat());
        say(&mut session, "decoder3.head", &[[-0.3; 3], [0.0; 3]].concat());
        say(&mut session, "encoder3.head", &[[0.4; 2], [-0.3; 2]].concat());
        let summary = eval::summary(&mut session, 0..200, 1).unwrap();
        let kl =
            |q: [f64; 2], p: [f64; 2]| 0.5 * (p[1] - q[1] + ((q[0] - p[0]).powi(2) + q[1].exp()) * (-p[1]).exp() - 1.0);
        let expected =
            [4.0 * kl([0.0; 2], [0.5, 0.2]), 3.0 * kl([0.0; 2], [-0.3, 0.0]), 2.0 * kl([0.4, -0.3], [0.0; 2])];
        // One sample for each of 200 examples: a few standard errors.
        for ((layer, expected), within) in summary.layers.iter().zip(expected).zip([0.3, 0.15, 1e-5]) {
            assert!((layer.rate - expected).abs() < within, "{:?}, device {device}", summary.layers);
            assert_eq!(layer.active, 0);
        }
        let sum: f64 = summary.layers.iter().map(|layer| layer.rate).sum();
        assert!((sum - summary.terms.rate).abs() < 1e-4, "{sum} and {}", summary.terms.rate);
        assert_eq!(summary.layers.iter().map(|layer| layer.latent).collect::<Vec<_>>(), [4, 3, 2]);
        let found = eval::likelihood(&mut session, 0..40, 500, 1, &mut |_| ()).unwrap();
        let expected = 6.0 * 2.0_f64.ln();
        assert!((found.neg_log_px - expected).abs() < 0.05, "{} instead of {expected}", found.neg_log_px);
        let bound = summary.terms.neg_elbo();
        assert!(bound > found.neg_log_px + 0.3, "the ELBO bounds it loosely: {bound}");
    }
}

#[test]
fn latents_are_drawn_from_the_top_down_each_layer_with_noise_of_its_own() {
    let mut session = silent(0);
    say(&mut session, "decoder2.head", &[[3.0; 4], [-2.0; 4]].concat());
    let plan = session.plan(Purpose::task(SAMPLE, BATCH)).unwrap();
    session.set_order(&(0..BATCH as u32).collect::<Vec<_>>()).unwrap();
    let scalars = session.scalars(5, Stream::Prior, 0, BATCH);
    session.run(plan, &[scalars]).unwrap();
    let z = session.output("z", BATCH, 4).unwrap();
    let mean = z.iter().sum::<f32>() / z.len() as f32;
    let variance = z.iter().map(|z| (z - mean).powi(2)).sum::<f32>() / z.len() as f32;
    assert!((mean - 3.0).abs() < 0.08 && (variance - (-2.0_f32).exp()).abs() < 0.03, "{mean}, {variance}");

    // z1 is z2 with noise; were the noise of both the same, it would be twice z2.
    let range = session.ranges().into_iter().find(|range| range.name == "decoder2.0").unwrap();
    let mut weights = vec![0.0; range.count()];
    weights[..3].fill(1.0);
    session.executor.write_f32(&Role::Parameters, range.offset, &weights).unwrap();
    let range = session.ranges().into_iter().find(|range| range.name == "decoder2.head").unwrap();
    let mut weights = vec![0.0; range.count()];
    weights[0] = 1.0;
    session.executor.write_f32(&Role::Parameters, range.offset, &weights).unwrap();
    session.run(plan, &[scalars]).unwrap();
    let z = session.output("z", BATCH, 4).unwrap();
    let column = |at: usize| z.iter().skip(at).step_by(4).copied().collect::<Vec<f32>>();
    let square = |values: &[f32]| values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32;
    // ReLU of one normal number halves its second moment.
    assert!((square(&column(0)) - 1.5).abs() < 0.5, "{}", square(&column(0)));
    assert!((square(&column(1)) - 1.0).abs() < 0.4);
}

#[test]
fn every_command_answers_of_the_lowest_layer_or_says_that_it_does_not() {
    let folder = trained();
    let said = elbo(folder, "eval run --samples 20 --adapter cpu").succeeded();
    assert!(said.out.contains("by layer") && said.out.contains("of 4 + 3 + 2 latent dimensions"), "{}", said.out);
    let eval: serde_json::Value =
        serde_json::from_str(&elbo(folder, "eval run --samples 20 --adapter cpu --json").succeeded().out).unwrap();
    assert_eq!((&eval["latent"], eval["layers"].as_array().unwrap().len()), (&9.into(), 3));
    assert!(eval["neg_log_px"].as_f64() < eval["neg_elbo"].as_f64(), "{eval}");
    for line in [
        "sample run -n 9 --out sample.png",
        "reconstruct run -n 8 --out pairs.png",
        "embed run --part test --out z.csv",
        "decode run z.csv --out x.npy",
        "interpolate run --steps 3 --out between.png",
        "latent run -n 40 --out map.png",
        "traverse run --layer 2 --steps 3 --out traversal.png",
        "score run --samples 8 --out scores.csv",
        "score run --mean-field --out fields.csv",
        "compare run",
    ] {
        elbo(folder, &format!("{line} --adapter cpu")).succeeded();
    }
    let header = fs::read_to_string(folder.join("z.csv")).unwrap();
    assert!(header.starts_with("index,label,mean_0,mean_1,mean_2,mean_3\n"), "the lowest layer has four dimensions");
    // What an epoch came to, layer by layer.
    let text = fs::read_to_string(folder.join("run/metrics.csv")).unwrap();
    assert!(text.lines().next().unwrap().ends_with("rate_1,rate_2,rate_3,lr"), "{text}");
    let last: Vec<f64> = text.lines().last().unwrap().split(',').filter_map(|cell| cell.parse().ok()).collect();
    let layers: f64 = last[last.len() - 4..last.len() - 1].iter().sum();
    assert!((layers - last[2]).abs() < 1e-4, "{text}");
    let before = files(folder).len();
    elbo(folder, "sample run --ex-post gmm --adapter cpu")
        .failed(2, "for models of one stochastic layer; this one has 3 (model.above)");
    assert_eq!(files(folder).len(), before);
}

#[test]
fn a_run_of_several_layers_resumes_to_the_same_bits_alone_and_among_others() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (out, objective) in [("bound", ""), ("elbo", "--set bound=elbo --beta 0.5 --set samples=2")] {
        for line in [
            format!("train {TINY} {objective} --seed 4 --out {out}"),
            format!("train {} {objective} --seed 4 --out {out}-parts", TINY.replace("--epochs 2", "--epochs 1")),
            format!("train --resume {out}-parts --epochs 2 --adapter cpu"),
            format!("train {TINY} {objective} --seeds 3,4 --out {out}-both"),
        ] {
            elbo(folder, &line).succeeded();
        }
        let parameters = |run: &Path| fs::read(crate::program::checkpoint(run, "last").join("parameters.safetensors"));
        let expected = parameters(&folder.join(out)).unwrap();
        assert_eq!(parameters(&folder.join(format!("{out}-parts"))).unwrap(), expected);
        let member = files(&folder.join(format!("{out}-both"))).into_iter().find(|path| {
            path.ends_with("config.toml")
                && path.parent().is_some_and(|run| run.join("checkpoints").is_dir())
                && fs::read_to_string(path).unwrap().contains("seed = 4")
        });
        assert_eq!(parameters(member.expect("a member has the seed 4").parent().unwrap()).unwrap(), expected);
    }
}

#[test]
fn layers_that_make_no_sense_and_what_is_for_one_alone_are_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    for (settings, culprit) in [
        ("--set above=[100-]", "model.above[0] `100-`"),
        ("--set above=[4,0]", "model.above[1] `0`"),
        ("--set above=[4-2] --set free_bits=1", "objective.free_bits = 1"),
        ("--set above=[4-2] --set capacity=1", "objective.capacity = 1"),
        ("--set above=[4-2] --set tc=2", "objective.tc = 2"),
        ("--set above=[4-2] --set mmd=2", "objective.mmd = 2"),
    ] {
        elbo(folder.path(), &format!("train --adapter cpu --set data.examples=300 {settings}")).failed(2, culprit);
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "{settings}");
    }
}
