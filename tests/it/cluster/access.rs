//! A cluster that lets in only whom it knows, over TLS.

use std::fs;
use std::process::Command;

use newsprint::api::pb::{SubmitArticleRequest, Verdict};
use tempfile::TempDir;

use super::Nodes;
use super::nodes::Setup;
use crate::program::Program;
use crate::security::{Authority, Pair};
use crate::server::article;
use crate::store::words;

const CLUSTER_MD: &str = include_str!("../../../docs/cluster.md");

/// Nodes that speak TLS only, with the user that the documentation gives newsprint.
fn secured(folder: &TempDir, authority: &Authority) -> Nodes {
    let Pair { certificate, key } = authority.server(2090);
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let ca = file("ca.pem", &authority.pem);
    let user = CLUSTER_MD.lines().find(|line| line.starts_with("user newsprint on ")).unwrap();
    let settings = format!(
        "port 0\ntls-cluster yes\ntls-replication yes\ntls-auth-clients no\n\
         tls-ca-cert-file {ca}\ntls-cert-file {}\ntls-key-file {}\n{}\n",
        file("node.pem", &certificate),
        file("node.key", &key),
        user.replace("PASSWORD", "secret"),
    );
    Nodes::start_as(&Setup {
        settings,
        port_setting: "tls-port",
        cli: vec!["--tls".to_owned(), "--cacert".to_owned(), ca],
        ..Setup::default()
    })
}

/// The program with a store in these nodes, as this user, that trusts this authority.
fn serve(nodes: &Nodes, user: &str, folder: &TempDir, authority: &str) -> Command {
    let url = nodes.url("").replace("redis://", &format!("rediss://{user}@"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_newsprint"));
    command.args(["serve", "--listen", "127.0.0.1:0"]).env("NEWSPRINT_STORE", url);
    command.env("SSL_CERT_FILE", folder.path().join(authority));
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_a_user_of_few_rights_are_enough() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = secured(&folder, &Authority::new());
    fs::write(folder.path().join("other.pem"), Authority::new().pem).unwrap();

    let program = Program::run(serve(&nodes, "newsprint:secret", &folder, "ca.pem")).await;
    let mut articles = program.articles().await;
    let mut submit = async |id: &str| {
        let article = article(id, "", &words(7, 80).join(" "));
        let request = SubmitArticleRequest { article: Some(article), ..Default::default() };
        let answer = articles.submit_article(request).await.unwrap().into_inner();
        answer.analysis.unwrap().duplicates.unwrap().verdict()
    };
    assert_eq!(submit("one").await, Verdict::Unique);
    assert_eq!(submit("two").await, Verdict::ExactDuplicate);

    for (user, authority, told) in [
        ("newsprint:wrong", "ca.pem", "password"),
        ("newsprint:secret", "other.pem", "certificate"),
    ] {
        let mut command = serve(&nodes, user, &folder, authority);
        let output = command.args(["--http", "off"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        assert!(said.to_lowercase().contains(told), "{told}: {said}");
        let password = user.split(':').next_back().unwrap();
        assert!(!said.contains(password), "{said}");
    }
}
