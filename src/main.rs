//! The `newsprint` program: parses the command line, runs one command, and turns an error into an
//! exit code. Everything else is in the library.

mod cli;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::exit_code(&error),
    }
}
