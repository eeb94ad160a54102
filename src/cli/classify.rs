//! `newsprint classify`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use newsprint::analyser::Analyser;
use newsprint::api::pb;
use newsprint::article::Article;
use newsprint::text::Document;

use super::block_on;
use super::client::Connection;
use super::input::display_name;
use super::output::{self, ProtoJson};
use super::submit::{ArticleArgs, for_each_file};

/// Tell what articles are about, and remember nothing
///
/// Asks a server, which also tells whether an article was seen before; with --local no server is
/// needed, and only the topics are told.
#[derive(Debug, Args)]
pub struct ClassifyArgs {
    #[command(flatten)]
    articles: ArticleArgs,

    /// Ask no server: use the model in this program
    #[arg(long, help_heading = "Without a server")]
    local: bool,

    /// With --local, use the model in this file
    #[arg(long, value_name = "FILE", requires = "local", help_heading = "Without a server")]
    model: Option<PathBuf>,

    #[command(flatten)]
    connection: Connection,
}

pub fn run(args: &ClassifyArgs) -> Result<()> {
    args.articles.check(false)?;
    let json = args.articles.json.then(ProtoJson::new).transpose()?;
    if args.local { classify_locally(args, json) } else { block_on(classify_remotely(args, json)) }
}

async fn classify_remotely(args: &ClassifyArgs, json: Option<ProtoJson>) -> Result<()> {
    let client = args.connection.articles().await?;
    for_each_file(&args.articles.files, async |file| {
        let article = args.articles.read(file)?;
        let request = pb::AnalyzeArticleRequest {
            collection: args.articles.collection.clone(),
            article: Some(article.clone()),
            options: Some(args.articles.options()),
        };
        let start = Instant::now();
        let answer = args.connection.call(request, |request| {
            let mut client = client.clone();
            async move { client.analyze_article(request).await }
        });
        let response: pb::AnalyzeArticleResponse =
            answer.await.with_context(|| format!("{} was not analysed", display_name(file)))?;
        match &json {
            Some(json) => json.print("AnalyzeArticleResponse", &response),
            None => print(file, &article, &response.analysis.unwrap_or_default(), start.elapsed()),
        }
    })
    .await
}

fn print(
    file: &Path,
    article: &pb::Article,
    analysis: &pb::Analysis,
    elapsed: Duration,
) -> Result<()> {
    let mut out = output::stdout();
    output::write_title(&mut out, article, &display_name(file))?;
    output::write_analysis(&mut out, analysis, &article.body)?;
    output::write_elapsed(&mut out, elapsed)?;
    writeln!(out)?;
    Ok(())
}

fn classify_locally(args: &ClassifyArgs, json: Option<ProtoJson>) -> Result<()> {
    let analyser = load_model(args.model.as_ref())?;
    block_on(for_each_file(&args.articles.files, async |file| {
        let article = args.articles.read(file)?;
        let said = classify(&analyser, &article, args.articles.explain);
        match &json {
            Some(json) => json.print("Classification", &said),
            None => {
                let mut out = output::stdout();
                output::write_title(&mut out, &article, &display_name(file))?;
                output::write_classification(&mut out, &said)?;
                Ok(writeln!(out)?)
            }
        }
    }))
}

fn classify(analyser: &Analyser, article: &pb::Article, explain: bool) -> pb::Classification {
    let article = Article {
        title: article.title.clone(),
        body: article.body.clone(),
        language: article.language.clone(),
        ..Article::default()
    };
    let document = Document::new(&article.title, &article.body);
    analyser.classify(&article, &document, explain).into()
}

/// The model of a file, or the one in this program.
pub fn load_model(file: Option<&PathBuf>) -> Result<Analyser> {
    match file {
        Some(path) => Analyser::from_file(path)
            .map_err(|reason| anyhow!("the model {} cannot be used: {reason}", path.display())),
        None => Analyser::built_in().map_err(|reason| {
            anyhow!("the built-in model cannot be used: {reason}; this is a bug")
        }),
    }
}
