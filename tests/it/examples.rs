//! The programs under `examples/` do what they say.

use crate::program::trained;

#[path = "../../examples/answers.rs"]
#[expect(dead_code, reason = "the test calls what its main calls")]
mod answers;
#[path = "../../examples/own_data.rs"]
#[expect(dead_code, reason = "the test calls what its main calls")]
mod own_data;

#[test]
fn a_run_can_be_asked_by_a_program() {
    let folder = trained();
    let said = answers::ask(&folder.path().join("run"), "cpu").unwrap();
    assert!(said.starts_with("classic: 100 draws of 784 values through 2 latent dimensions"), "{said}");
    let error = answers::ask(&folder.path().join("nothing"), "cpu").unwrap_err();
    assert_eq!(error.exit_code(), 3);
}

#[test]
fn a_program_can_train_on_its_own_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let [ring, beside] = own_data::learn(folder.path(), "cpu").unwrap();
    // Twice as far out a point lies ten deviations from what the decoder can reach.
    assert!(ring < 0.0 && beside > ring + 50.0, "{ring} and {beside}");
}
