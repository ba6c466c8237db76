//! Codes outside: whole numbers that the encoder's file gives and the decoder's takes.

use super::{ROWS, TOLERANCE, checkpoint, evaluator, examples};
use elbo::exec::Executor;
use elbo::exec::cpu::Cpu;
use elbo::interop;
use elbo::run::Run;
use safetensors::SafeTensors;
use std::collections::BTreeSet;
use std::path::Path;

const LAYERS: [(&str, &str); 3] = [
    ("model.hidden", "[]"),
    ("model.encoder_layers", "[conv 5 kernel 2 stride 2, silu]"),
    ("model.decoder_layers", "[conv 4 kernel 3 padding 1, silu, conv-transpose out kernel 2 stride 2]"),
];

#[test]
fn codes_leave_as_whole_numbers_and_decode_outside_as_at_home() {
    for (layers, shape) in
        [(&LAYERS[..], [1, 6, 8]), (&LAYERS[..], [3, 4, 6]), (&[("model.hidden", "[9]")][..], [1, 1, 11])]
    {
        for (follows, likelihood) in
            [("ema", "bernoulli"), ("gradient", "gaussian-learned"), ("ema", "logistic-mixture")]
        {
            let own = [
                ("model.codes", "7"),
                ("model.codebook", follows),
                ("model.latent", "3"),
                ("model.likelihood", likelihood),
            ];
            let settings = layers.iter().chain(&own).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let mut checkpoint = checkpoint("codes", settings.collect(), shape);
            for (_, tensor) in checkpoint.parameters.iter_mut().filter(|(name, _)| name == "codebook.size") {
                tensor.values.iter_mut().for_each(|size| *size = size.abs() + 0.5);
            }
            let what = format!("{follows}, {likelihood}, {shape:?}");
            let x = examples(&checkpoint);
            let mut run = Run::new(&checkpoint, Executor::Cpu(Cpu::new(2).unwrap())).unwrap();
            let codes = run.codes(&x).unwrap();
            assert!(codes.len() == ROWS || codes.iter().collect::<BTreeSet<_>>().len() > 2, "{what}: {codes:?}");
            let files = interop::onnx(&checkpoint, Path::new("none")).unwrap();
            let file = |name: &str| &files.iter().find(|(found, _)| found == name).unwrap().1;
            let found = evaluator::run(file("encoder.onnx"), &[&x]);
            assert_eq!(found["codes"].iter().map(|&code| code as u32).collect::<Vec<_>>(), codes, "{what}");
            let given: Vec<f32> = codes.iter().map(|&code| code as f32).collect();
            let found = evaluator::run(file("decoder.onnx"), &[&given]);
            let means = run.decode_codes(&codes).unwrap();
            assert_eq!(found["mean"].len(), means.len());
            for (found, mean) in found["mean"].iter().zip(means) {
                let mean = f64::from(mean);
                assert!((found - mean).abs() <= TOLERANCE * mean.abs().max(1.0), "{what}: {found} and {mean}");
            }
            let card = String::from_utf8(file("README.md").clone()).unwrap();
            let cells = codes.len() / ROWS;
            assert!(card.contains(&format!("to `codes` [batch, {cells}], whole numbers (i64)")), "{card}");
            assert!(card.contains("codes, = encoder.run([\"codes\"], {\"x\": x})"), "{card}");
            let files = interop::safetensors(&checkpoint, Path::new("none")).unwrap();
            let tensors = SafeTensors::deserialize(&files[0].1).unwrap();
            assert_eq!(tensors.tensor("codebook").unwrap().shape(), [7, 3]);
            assert!(tensors.tensor("encoder.head.weight").is_ok());
        }
    }
}
