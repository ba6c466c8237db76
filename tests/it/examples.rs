//! The programs under `examples/` do what they say.

use crate::program::trained;
use elbo::report::grid;
use std::fs::{self, File};
use std::io::BufReader;

#[path = "../../examples/gallery.rs"]
#[expect(dead_code, reason = "the test calls what its main calls")]
mod gallery;
#[path = "../../examples/answers.rs"]
#[expect(dead_code, reason = "the test calls what its main calls")]
mod inference;
#[path = "../../examples/own_data.rs"]
#[expect(dead_code, reason = "the test calls what its main calls")]
mod own_data;

#[test]
fn a_run_can_be_asked_by_a_program() {
    let folder = trained();
    let said = inference::ask(&folder.path().join("run"), "cpu").unwrap();
    assert!(said.starts_with("classic: 100 draws of 784 values through 2 latent dimensions"), "{said}");
    let error = inference::ask(&folder.path().join("nothing"), "cpu").unwrap_err();
    assert_eq!(error.exit_code(), 3);
}

#[test]
fn a_program_can_train_on_its_own_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let [ring, beside] = own_data::learn(folder.path(), "cpu").unwrap();
    // Twice as far out a point lies ten deviations from what the decoder can reach.
    assert!(ring < 0.0 && beside > ring + 50.0, "{ring} and {beside}");
}

#[test]
fn a_gallery_has_a_tile_for_each_model() {
    let folder = tempfile::tempdir().unwrap();
    let model = |name: &str, channels: usize, value: f32| {
        let model = folder.path().join(name);
        fs::create_dir(&model).unwrap();
        let (images, shape) = (vec![value; 16 * channels * 28 * 28], [channels, 28, 28]);
        grid::save(&model.join("samples.png"), &images, shape, 4).unwrap();
        let half = &images[..images.len() / 2];
        grid::pairs(&model.join("reconstructions.png"), half, half, shape, 8).unwrap();
        model
    };
    let models = [model("grey", 1, 0.0), model("white", 3, 1.0), model("last", 1, 0.0)];
    let out = folder.path().join("gallery.png");
    gallery::draw(&out, &models).unwrap();
    let mut reader = png::Decoder::new(BufReader::new(File::open(&out).unwrap())).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let (width, height) =
        reader.next_frame(&mut pixels).map(|info| (info.width as usize, info.height as usize)).unwrap();
    // A sheet of four by four digits is 227 pixels wide and high, one of eight columns 455 wide.
    assert_eq!((width, height), (2 * (12 + 227 + 12 + 455 + 12), 2 * (12 + 16 + 6 + 227 + 12)));
    let at = |x: usize, y: usize| &pixels[3 * (y * width + x)..][..3];
    assert_eq!(
        (at(13, 35), at(width / 2 + 13, 35), at(width / 2 + 13, 300)),
        (&[0; 3][..], &[255; 3][..], &[255; 3][..])
    );
    assert!((12..12 + 16 * 4).any(|x| at(x, 20) != [255; 3]), "a title stands above each");
    fs::remove_file(models[1].join("samples.png")).unwrap();
    let error = gallery::draw(&out, &models).unwrap_err();
    assert!(error.exit_code() == 3 && error.to_string().contains("samples.png"), "{error}");
}
