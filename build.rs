//! Compiles the contract in `proto/` to Rust, with no compiler to install.

use std::path::PathBuf;

/// The requests that hold articles. The framework gets to see no more of them than that they came.
const ITEM_REQUESTS: [&str; 4] = [
    "SubmitArticleRequest",
    "BatchSubmitArticlesRequest",
    "SubmitArticleStreamRequest",
    "AnalyzeArticleRequest",
];
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

    // The same services once more as the server implements them: it decodes articles itself.
    let served = out_dir.join("served");
    std::fs::create_dir_all(&served)?;
    let mut served = tonic_prost_build::configure()
        .build_client(false)
        .out_dir(served)
        .extern_path(".newsprint.v1", "crate::api::pb");
    for request in ITEM_REQUESTS {
        served = served.extern_path(format!(".newsprint.v1.{request}"), "()");
    }
    served.compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
