//! What has to be done now and then.

use std::convert::Infallible;
use std::time::Duration;

use metrics::gauge;

use crate::admission::Budget;
use crate::api::EngineSlot;
use crate::telemetry;

/// How often forgotten articles are swept up and gauges are brought up to date.
const PERIOD: Duration = Duration::from_secs(5);

/// Does it, for ever.
pub async fn run(slot: &EngineSlot, budget: &Budget) -> Infallible {
    gauge!("newsprint_in_flight_max").set(budget.limit().articles as f64);
    gauge!("newsprint_memory_bytes_max").set(budget.limit().bytes as f64);
    let mut period = tokio::time::interval(PERIOD);
    loop {
        period.tick().await;
        telemetry::metrics().run_upkeep();
        let held = budget.held();
        gauge!("newsprint_in_flight").set(held.articles as f64);
        gauge!("newsprint_memory_bytes").set(held.bytes as f64);
        let Some(engine) = slot.get() else { continue };
        // A store that has closed itself opens again by itself.
        let Ok(collections) = engine.collections().await else { continue };
        let articles: usize = collections.iter().map(|info| info.article_count).sum();
        let stories: usize = collections.iter().map(|info| info.story_count).sum();
        gauge!("newsprint_articles").set(articles as f64);
        gauge!("newsprint_stories").set(stories as f64);
        gauge!("newsprint_collections").set(collections.len() as f64);
        loop {
            match engine.sweep().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "forgotten articles cannot be swept up");
                    break;
                }
            }
        }
    }
}
