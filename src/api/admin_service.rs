//! `AdminService`: each method translates, calls the engine, and translates back.

use tonic::{Request, Response, Status};

use super::convert::{collection_name, collections_page, duration_to, settings_from, timestamp_to};
use super::error::Violations;
use super::pb::served::admin_service_server::AdminService;
use super::{EngineSlot, pb};
use crate::analyser::to_f64;
use crate::article::{ArticleId, BackupName};
use crate::config::{ConnectionLimits, Limits};
use crate::kernel::Kernel;
use crate::simhash;

/// The service over an engine.
#[derive(Clone)]
pub struct AdminApi {
    engine: EngineSlot,
    connections: ConnectionLimits,
}

impl AdminApi {
    pub fn new(engine: EngineSlot, connections: ConnectionLimits) -> Self {
        AdminApi { engine, connections }
    }
}

#[tonic::async_trait]
impl AdminService for AdminApi {
    async fn get_server_info(
        &self,
        _request: Request<pb::GetServerInfoRequest>,
    ) -> Result<Response<pb::GetServerInfoResponse>, Status> {
        let engine = self.engine.ready()?;
        let limits = engine.limits();
        let collections = engine.collections().await?;
        let analyser = engine.analyser();
        let classifiers = analyser.topics.classifiers();
        let mut topics: Vec<pb::TopicInfo> = (classifiers.first().into_iter())
            .flat_map(|classifier| classifier.labels())
            .map(|label| pb::TopicInfo {
                topic: label.name.clone(),
                threshold: to_f64(label.threshold),
            })
            .collect();
        topics.sort_by(|a, b| a.topic.cmp(&b.topic));
        Ok(Response::new(pb::GetServerInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            limits: Some(pb::Limits {
                message_bytes_max: limits.message_bytes_max as i64,
                title_bytes_max: limits.title_bytes_max as i64,
                body_bytes_max: limits.body_bytes_max as i64,
                article_id_bytes_max: ArticleId::BYTES_MAX as i64,
                url_bytes_max: Limits::URL_BYTES_MAX as i64,
                source_bytes_max: Limits::SOURCE_BYTES_MAX as i64,
                attribute_count_max: Limits::ATTRIBUTES_MAX as i64,
                batch_article_count_max: limits.batch_articles_max() as i64,
                match_count_max: Limits::MATCHES_MAX as i64,
                page_size_max: Limits::PAGE_SIZE_MAX as i64,
                in_flight_max: limits.in_flight_max as i64,
                fingerprint_words_min: simhash::WORDS_MIN as i64,
                collection_count_max: limits.collections_max as i64,
                memory_bytes_max: limits.memory_bytes_max as i64,
                connection_count_max: self.connections.connections_max as i64,
                idle_max: Some(duration_to(self.connections.idle_max())),
                receive_max: Some(duration_to(self.connections.receive_max())),
                answer_max: Some(duration_to(self.connections.answer_max())),
                connection_age_max: self.connections.age_max().map(duration_to),
            }),
            fingerprint_scheme: simhash::SCHEME.to_owned(),
            kernel: Kernel::active().name().to_owned(),
            model_version: analyser.version.clone(),
            topics,
            languages: classifiers.iter().map(|it| it.language().to_owned()).collect(),
            collection_count: collections.len() as i64,
            article_count: collections.iter().map(|info| info.article_count as i64).sum(),
            story_count: collections.iter().map(|info| info.story_count as i64).sum(),
            start_time: Some(timestamp_to(engine.start_time())),
        }))
    }

    async fn reload_model(
        &self,
        _request: Request<pb::ReloadModelRequest>,
    ) -> Result<Response<pb::ReloadModelResponse>, Status> {
        let reloaded = self.engine.ready()?.reload_model().await?;
        Ok(Response::new(pb::ReloadModelResponse {
            model_version: reloaded.version,
            previous_model_version: reloaded.previous_version,
        }))
    }

    async fn create_backup(
        &self,
        request: Request<pb::CreateBackupRequest>,
    ) -> Result<Response<pb::CreateBackupResponse>, Status> {
        let name = BackupName::new(request.into_inner().name);
        let name = name.map_err(|description| Violations::one("name", description))?;
        let backup = self.engine.ready()?.create_backup(&name).await?;
        Ok(Response::new(pb::CreateBackupResponse {
            path: backup.path.display().to_string(),
            article_count: backup.article_count as i64,
            size_bytes: backup.size_bytes as i64,
            snapshot_time: Some(timestamp_to(backup.snapshot_time)),
        }))
    }

    async fn list_collections(
        &self,
        request: Request<pb::ListCollectionsRequest>,
    ) -> Result<Response<pb::ListCollectionsResponse>, Status> {
        let (after, page_size) = collections_page(request.into_inner())?;
        let mut collections = self.engine.ready()?.collections().await?;
        collections.retain(|info| after.as_ref().is_none_or(|after| info.name > *after));
        let has_more = collections.len() > page_size;
        collections.truncate(page_size);
        let last = collections.last().map(|info| info.name.to_string());
        Ok(Response::new(pb::ListCollectionsResponse {
            collections: collections.into_iter().map(Into::into).collect(),
            next_page_token: last.filter(|_| has_more).unwrap_or_default(),
        }))
    }

    async fn update_collection(
        &self,
        request: Request<pb::UpdateCollectionRequest>,
    ) -> Result<Response<pb::UpdateCollectionResponse>, Status> {
        let pb::UpdateCollectionRequest { collection, settings } = request.into_inner();
        let collection = collection_name(collection)?;
        let settings = settings_from(settings)?;
        let info = self.engine.ready()?.update_collection(&collection, settings).await?;
        Ok(Response::new(pb::UpdateCollectionResponse { collection: Some(info.into()) }))
    }

    async fn delete_collection(
        &self,
        request: Request<pb::DeleteCollectionRequest>,
    ) -> Result<Response<pb::DeleteCollectionResponse>, Status> {
        let pb::DeleteCollectionRequest { collection } = request.into_inner();
        if collection.is_empty() {
            return Err(Violations::one("collection", "must be given in full").into());
        }
        self.engine.ready()?.delete_collection(&collection_name(collection)?).await?;
        Ok(Response::new(pb::DeleteCollectionResponse {}))
    }
}
