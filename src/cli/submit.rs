//! `newsprint submit`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use newsprint::api::pb;

use super::client::Connection;
use super::input::{content_id, display_name, id_of, is_stdin, read_article};
use super::output::{self, DIM, ProtoJson, visible};
use super::{block_on, usage_error};

/// Submit articles to a server, which remembers them
///
/// Prints what each article is about and whether it was seen before. An article is remembered under
/// the name of its file: submitting the file again is safe, and if it was changed meanwhile, it is
/// the next revision.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    #[command(flatten)]
    pub articles: ArticleArgs,

    /// The article's id, which makes sending it again safe [default: the file's name as given]
    #[arg(long, value_name = "ID", help_heading = "Article")]
    pub id: Option<String>,

    #[command(flatten)]
    pub connection: Connection,
}

pub fn run(args: &SubmitArgs) -> Result<()> {
    args.articles.check(args.id.is_some())?;
    block_on(submit_all(args))
}

async fn submit_all(args: &SubmitArgs) -> Result<()> {
    let json = args.articles.json.then(ProtoJson::new).transpose()?;
    let client = args.connection.articles().await?;
    for_each_file(&args.articles.files, async |file| {
        let mut article = args.articles.read(file)?;
        if let Some(id) = &args.id {
            article.article_id.clone_from(id);
        }
        if article.article_id.is_empty() {
            article.article_id = if is_stdin(file) { content_id(&article) } else { id_of(file) };
        }
        let request = pb::SubmitArticleRequest {
            collection: args.articles.collection.clone(),
            article: Some(article.clone()),
            options: Some(args.articles.options()),
        };
        let start = Instant::now();
        let answer = args.connection.call(request, |request| {
            let mut client = client.clone();
            async move { client.submit_article(request).await }
        });
        let response: pb::SubmitArticleResponse =
            answer.await.with_context(|| format!("{} was not submitted", display_name(file)))?;
        match &json {
            Some(json) => json.print("SubmitArticleResponse", &response),
            None => print(file, &article, &response, start.elapsed()),
        }
    })
    .await
}

/// Does something with each of some files. One at fault keeps none of the others from it.
pub async fn for_each_file(
    files: &[PathBuf],
    mut work: impl AsyncFnMut(&Path) -> Result<()>,
) -> Result<()> {
    let mut failed = 0;
    for file in files {
        match work(file).await {
            Err(error) if files.len() > 1 && !super::is_broken_pipe(&error) => {
                output::print_error(&error);
                failed += 1;
            }
            done => done?,
        }
    }
    match failed {
        0 => Ok(()),
        _ => bail!("{failed} of {} files failed", files.len()),
    }
}

fn print(
    file: &Path,
    article: &pb::Article,
    response: &pb::SubmitArticleResponse,
    elapsed: Duration,
) -> Result<()> {
    let mut out = output::stdout();
    output::write_title(&mut out, article, &display_name(file))?;
    output::write_label(&mut out, "id")?;
    write!(out, "{}", visible(&response.article_id))?;
    let note = match (response.replayed, response.revision) {
        (true, _) => "  was submitted before; this is what was answered then".to_owned(),
        (false, 1) => String::new(),
        (false, revision) => format!("  revision {revision}"),
    };
    writeln!(out, "{DIM}{note}{DIM:#}")?;
    if let Some(analysis) = &response.analysis {
        output::write_analysis(&mut out, analysis, &article.body)?;
    }
    output::write_elapsed(&mut out, elapsed)?;
    writeln!(out)?;
    Ok(())
}

/// Articles in files, and what to ask about them.
#[derive(Debug, Args)]
pub struct ArticleArgs {
    /// Files of one article each: text whose first line is the title, HTML (.html), or JSON with
    /// the fields of an article (.json); '-' reads standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// The title; the whole file is the body then
    #[arg(long, value_name = "TEXT", help_heading = "Article")]
    pub title: Option<String>,

    /// Where the article was found
    #[arg(long, value_name = "URL", help_heading = "Article")]
    pub url: Option<String>,

    /// The outlet that published the articles
    #[arg(long, value_name = "NAME", help_heading = "Article")]
    pub source: Option<String>,

    /// The collection of articles to compare with
    #[arg(long, env = "NEWSPRINT_COLLECTION", value_name = "NAME", default_value = "default")]
    pub collection: String,

    /// Tell why: the words that weighed most for a topic, and the passages shared with a match
    #[arg(long)]
    pub explain: bool,

    /// Print one line of JSON per article, as protobuf has it, instead of text for people
    #[arg(long)]
    pub json: bool,
}

impl ArticleArgs {
    /// Checks what no parser can.
    pub fn check(&self, has_id: bool) -> Result<()> {
        let is_for_one = has_id || self.title.is_some() || self.url.is_some();
        if is_for_one && self.files.len() > 1 {
            return Err(usage_error("--id, --title and --url are for one FILE only"));
        }
        Ok(())
    }

    pub fn read(&self, file: &Path) -> Result<pb::Article> {
        let mut article = read_article(file, self.title.as_deref())?;
        if let Some(url) = &self.url {
            article.url.clone_from(url);
        }
        if let Some(source) = &self.source {
            article.source.clone_from(source);
        }
        Ok(article)
    }

    pub fn options(&self) -> pb::AnalysisOptions {
        pb::AnalysisOptions { explain: self.explain, ..pb::AnalysisOptions::default() }
    }
}
