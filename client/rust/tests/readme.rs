//! The README.

/// The README shows the example as it is run.
#[test]
fn the_readme_shows_the_example() {
    let readme = include_str!("../README.md");
    let example = include_str!("../examples/quickstart.rs");
    assert!(
        readme.contains(&format!("```rust\n{example}```\n")),
        "README.md does not show examples/quickstart.rs"
    );
}
