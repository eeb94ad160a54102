//! Compiles the suite's contract, wherever scripts/conformance has put it.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-env-changed=CONFORMANCE_PROTO");
    let proto = std::env::var("CONFORMANCE_PROTO")
        .map_err(|_| "CONFORMANCE_PROTO has to name the suite's folder: scripts/conformance")?;
    println!("cargo:rerun-if-changed={proto}");
    let out_dir = PathBuf::from(std::env::var("OUT_DIR")?);
    let files = ["service.proto", "server_compat.proto"]
        .map(|file| format!("connectrpc/conformance/v1/{file}"));
    let mut compiler = protox::Compiler::new([proto])?;
    compiler.include_imports(true).open_files(files)?;
    std::fs::write(out_dir.join("conformance.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .build_client(false)
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
