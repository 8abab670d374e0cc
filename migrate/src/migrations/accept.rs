//! What operators accept: a source that has lost something, or changes of clients that went with a process.

use cluster::MetaCommand;
use config::CacheName;
use store::{CacheError, Fence};

use super::{MigrationError, Migrations};

impl Migrations {
    /// Goes on with a source that has become another one.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub async fn accept_source_loss(&self, name: &CacheName) -> Result<(), MigrationError> {
        // Whom the operator has accepted must not become the source of a later connection.
        let _alone = self.changing.alone(name).await;
        let migration = self.migration(name)?;
        let source = migration.source();
        let (changed, lost, unheard) = (source.changed(), source.lost(), source.unheard());
        // Those that the status names; what nobody was told, nobody accepts.
        let lost = lost.into_iter().filter(|lost| !lost.after_copy).map(|lost| lost.server);
        let named: Vec<String> =
            lost.chain(unheard.into_iter().map(|unheard| unheard.server)).collect();
        if changed.is_none() && named.is_empty() {
            let text =
                format!("the source of cache {name} has not changed: there is nothing to accept");
            return Err(MigrationError::NotNow(text));
        }
        source.accept(&named).await.map_err(MigrationError::NotNow)?;
        if changed.is_some() {
            migration.accept_failure();
        }
        tracing::warn!(
            cache = %name, lost = named.join(", "),
            "goes on with the source as it is now: what it has lost and was not copied is lost here too"
        );
        Ok(())
    }

    /// Goes on although entries that clients had changed here were lost with a process.
    ///
    /// # Errors
    ///
    /// If the cache is not connected.
    pub async fn accept_loss(&self, name: &CacheName) -> Result<(), MigrationError> {
        let cache = self.cache(name)?;
        let _alone = self.changing.alone(name).await;
        // A connection that works would forget what is complete, and what clients have cleared.
        if cache.check_served() != Err(CacheError::Fenced(Fence::Lost)) {
            return Err(MigrationError::NotNow(format!("cache {name} has not lost anything")));
        }
        self.agreement.propose_for(&cache, MetaCommand::AcceptLoss { cache: name.clone() }).await?;
        tracing::warn!(
            cache = %name,
            "goes on without what clients had written or removed here: it is as the source has it"
        );
        Ok(())
    }
}
