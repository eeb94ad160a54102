//! `newsprint token`: what the file of `newsprint serve --tokens` is made of.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use newsprint::access::{Identities, Role, new_token};

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    Create(CreateArgs),
}

/// Make a token and the entry by which a server knows it
///
/// The token is printed once and kept nowhere: give it to whoever is to call. The entry holds only
/// its SHA-256, and belongs into the file that 'newsprint serve --tokens' names, which a running
/// server reads again by itself. To take a token back, delete its entry.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Whose token it is, for the log
    #[arg(long, value_name = "NAME")]
    name: String,

    /// What it is for; may be given more than once, and none includes another
    #[arg(long = "role", value_name = "ROLE", value_enum, required = true)]
    roles: Vec<Role>,

    /// A collection that it is limited to, or a beginning such as 'sport-*'; may be given more than
    /// once [default: all collections]
    #[arg(long = "collection", value_name = "NAME")]
    collections: Vec<String>,

    /// When it ends, such as 2027-06-30T00:00:00Z [default: never]
    #[arg(long, value_name = "MOMENT")]
    expires: Option<String>,

    /// Put the entry at the end of this file, and print only the token
    #[arg(long, value_name = "FILE")]
    append: Option<PathBuf>,
}

pub fn run(command: &TokenCommand) -> Result<()> {
    match command {
        TokenCommand::Create(args) => create(args),
    }
}

fn create(args: &CreateArgs) -> Result<()> {
    let (token, hash) = new_token()?;
    let entry = entry(args, &hash);
    // What the server would refuse is refused here.
    Identities::parse(&entry)?;
    let Some(file) = &args.append else {
        println!("token (shown only now, for whoever is to call):\n\n{token}\n");
        println!("entry for the file of 'newsprint serve --tokens':\n\n{entry}");
        return Ok(());
    };
    let failed = || format!("cannot write {}", file.display());
    let before = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(failed),
    };
    let separator = if before.is_empty() || before.ends_with("\n\n") { "" } else { "\n" };
    let after = format!("{before}{separator}{entry}");
    Identities::parse(&after).with_context(|| format!("{} stays as it is", file.display()))?;
    // A server may be reading it: it sees the file as it was, or whole.
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut whole =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(".".as_ref())).with_context(failed)?;
    whole.write_all(after.as_bytes()).with_context(failed)?;
    if let Ok(metadata) = std::fs::metadata(file) {
        whole.as_file().set_permissions(metadata.permissions()).with_context(failed)?;
    }
    whole.persist(file).with_context(failed)?;
    println!("{token}");
    Ok(())
}

fn entry(args: &CreateArgs, hash: &str) -> String {
    let list =
        |texts: &[&str]| texts.iter().map(|text| toml_string(text)).collect::<Vec<_>>().join(", ");
    let roles: Vec<&str> = args.roles.iter().map(|role| role.name()).collect();
    let collections: Vec<&str> = args.collections.iter().map(String::as_str).collect();
    let mut entry = format!(
        "[[identity]]\nname = {}\ntoken-sha256 = \"{hash}\"\nroles = [{}]\n",
        toml_string(&args.name),
        list(&roles)
    );
    if !collections.is_empty() {
        let _ = writeln!(entry, "collections = [{}]", list(&collections));
    }
    if let Some(expires) = &args.expires {
        let _ = writeln!(entry, "expires = {}", toml_string(expires));
    }
    entry
}

/// TOML's basic strings escape what JSON's do.
fn toml_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(append: Option<PathBuf>) -> CreateArgs {
        CreateArgs {
            name: "the \"wire\" feed".to_owned(),
            roles: vec![Role::Read, Role::Write],
            collections: vec!["wire".to_owned(), "sport-*".to_owned()],
            expires: Some("2127-06-30T00:00:00Z".to_owned()),
            append,
        }
    }

    #[test]
    fn entries_are_added_to_a_file_that_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.toml");
        std::fs::write(&file, "# Who may call.\n").unwrap();
        for _ in 0..2 {
            create(&args(Some(file.clone()))).unwrap();
        }
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("# Who may call.\n\n[[identity]]\n"), "{text}");
        assert_eq!(Identities::parse(&text).unwrap().count(), 2);

        let refused =
            CreateArgs { collections: vec!["A B".to_owned()], ..args(Some(file.clone())) };
        assert!(create(&refused).unwrap_err().to_string().contains("collections"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
}
