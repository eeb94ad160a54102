//! Compiles the contract in `proto/` to Rust, with no compiler to install.

use std::path::PathBuf;

const FILES: [&str; 3] = [
    "newsprint/v1/article_service.proto",
    "newsprint/v1/admin_service.proto",
    "newsprint/v1/error.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The code generator does not tell Cargo what it depends on.
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=proto");
    let out_dir = PathBuf::from(std::env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    // The comments travel with the descriptors, so that reflection can show them.
    std::fs::write(out_dir.join("newsprint.bin"), compiler.encode_file_descriptor_set())?;

    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
