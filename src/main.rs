//! The `newsprint` program: parses the command line, runs one command, and turns an error into an
//! exit code. Everything else is in the library.

mod cli;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long freed memory is kept before the system gets it back, in milliseconds. By default it is a
/// second, in which large articles can leave behind as much memory as the budget of all requests.
const PURGE_DELAY_MS: i64 = 0;

/// `mi_option_purge_delay`, of which the crate has no name; MIMALLOC_PURGE_DELAY wins over it.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

#[expect(unsafe_code, reason = "the allocator has no other way to be set up")]
fn give_memory_back_soon() {
    // SAFETY: it sets a number. Nobody else does, and no other thread is there yet.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS) }
}

fn main() -> ExitCode {
    give_memory_back_soon();
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::exit_code(&error),
    }
}
