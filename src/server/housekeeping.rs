//! What has to be done now and then.

use std::convert::Infallible;
use std::time::{Duration, Instant, UNIX_EPOCH};

use metrics::gauge;

use super::calls::Overload;
use crate::admission::Budget;
use crate::api::EngineSlot;
use crate::engine::Engine;
use crate::telemetry;

/// How often gauges are brought up to date: those that cost nothing, and those of the store.
const PERIOD: Duration = Duration::from_secs(1);
const STORE_PERIOD: Duration = Duration::from_secs(5);

/// How often forgotten articles are swept up.
const SWEEP_PERIOD: Duration = Duration::from_secs(5);

/// Does it, for ever. A disk that hangs keeps neither the other gauges nor the sweep from going on.
pub async fn run(slot: &EngineSlot, budget: &Budget, overload: &Overload) -> Infallible {
    tokio::select! {
        never = measure(budget, overload) => never,
        never = measure_store(slot) => never,
        never = sweep(slot) => never,
    }
}

async fn measure(budget: &Budget, overload: &Overload) -> Infallible {
    gauge!("newsprint_in_flight_articles_max").set(budget.limit().articles as f64);
    gauge!("newsprint_in_flight_bytes_max").set(budget.limit().bytes as f64);
    let mut period = tokio::time::interval(PERIOD);
    loop {
        period.tick().await;
        telemetry::metrics().run_upkeep();
        overload.look(Instant::now());
        let held = budget.held();
        gauge!("newsprint_in_flight_articles").set(held.articles as f64);
        gauge!("newsprint_in_flight_bytes").set(held.bytes as f64);
    }
}

async fn measure_store(slot: &EngineSlot) -> Infallible {
    let mut period = tokio::time::interval(STORE_PERIOD);
    loop {
        period.tick().await;
        let Some(engine) = slot.get() else { continue };
        // A store that has closed itself opens again by itself.
        if let Ok(collections) = engine.collections().await {
            let articles: usize = collections.iter().map(|info| info.article_count).sum();
            let stories: usize = collections.iter().map(|info| info.story_count).sum();
            gauge!("newsprint_articles").set(articles as f64);
            gauge!("newsprint_stories").set(stories as f64);
            gauge!("newsprint_collections").set(collections.len() as f64);
        }
        // Asking the disk may take long.
        let slot = slot.clone();
        let _ = tokio::task::spawn_blocking(move || slot.get().map(measure_disk)).await;
    }
}

fn measure_disk(engine: &Engine) {
    if let Some(usage) = engine.usage() {
        gauge!("newsprint_disk_used_bytes").set(usage.disk_used_bytes as f64);
        gauge!("newsprint_disk_journal_bytes").set(usage.disk_journal_bytes as f64);
        gauge!("newsprint_disk_available_bytes").set(usage.disk_available_bytes as f64);
        gauge!("newsprint_disk_reserve_bytes").set(usage.disk_reserve_bytes as f64);
        gauge!("newsprint_candidate_cache_bytes").set(usage.candidate_cache_bytes as f64);
        gauge!("newsprint_counts_bytes").set(usage.counts_bytes as f64);
    }
    let latest = engine.latest_backup().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let seconds = latest.map_or(0.0, |since| since.as_secs_f64());
    gauge!("newsprint_backup_last_timestamp_seconds").set(seconds);
}

async fn sweep(slot: &EngineSlot) -> Infallible {
    let mut period = tokio::time::interval(SWEEP_PERIOD);
    loop {
        period.tick().await;
        let Some(engine) = slot.get() else { continue };
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
