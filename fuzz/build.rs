//! Generates the second implementation of the schemas, in pure Rust.

fn main() {
    println!("cargo:rerun-if-changed=../proto");
    let protos: Vec<_> = std::fs::read_dir("../proto")
        .expect("the schemas are there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "proto"))
        .collect();
    protobuf_codegen::Codegen::new()
        .pure()
        .include("../proto")
        .inputs(protos)
        .cargo_out_dir("protos")
        .run_from_script();
}
