//! ARCHITECTURE.md lists the steps of the launch; the code has the same, in the same order.

use std::fs;
use std::path::Path;

use shim::step::Step;

#[test]
fn the_document_and_the_code_agree() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ARCHITECTURE.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once("<!-- launch-order -->").expect("the list begins");
    let (list, _) = rest.split_once("<!-- /launch-order -->").expect("the list ends");
    let written: Vec<(&str, &str)> = list
        .lines()
        .filter_map(|line| line.split_once(". `"))
        .map(|(number, rest)| (number.trim(), rest.split('`').next().unwrap()))
        .collect();
    let names: Vec<&str> = written.iter().map(|(_, name)| *name).collect();
    let code: Vec<&str> = Step::ORDER.iter().map(|step| step.name()).collect();
    assert_eq!(names, code);
    for (place, (number, name)) in written.iter().enumerate() {
        assert_eq!(number.parse(), Ok(place + 1), "{name}");
    }
}
