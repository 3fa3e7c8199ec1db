//! Which cluster and which namespace, and how they are reached.
//!
//! Invariant: plain data without a credential, so that it may stand in a ledger or an annotation.
//! Whoever uses it later reads the credentials again, and touches nothing if the context has come to
//! mean another API server.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::words;
use crate::platform::PlatformError;

/// Longest wait for a connection to the API server.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait for one answer of the API server that is not a watch.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// A namespace of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Files that name the context; of two that do, the first counts. None inside a pod of the cluster.
    pub kubeconfig: Vec<PathBuf>,
    pub context: String,
    /// Address of the API server to which the context led when the run began.
    pub server: String,
    pub namespace: String,
}

/// What the user chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// `None` is what `kubectl` would read: `$KUBECONFIG`, otherwise `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    pub context: String,
    pub namespace: String,
}

impl Place {
    /// Reads the kubeconfig; asks nobody.
    pub(super) fn find(chosen: &Chosen) -> Result<(Self, Kubeconfig), PlatformError> {
        let files = files(chosen)?;
        let kubeconfig = read(&files)?;
        let server = server(&kubeconfig, &chosen.context)?;
        let place = Self {
            kubeconfig: files,
            context: chosen.context.clone(),
            server,
            namespace: chosen.namespace.clone(),
        };
        Ok((place, kubeconfig))
    }

    /// The namespace of the pod in which this program runs, with the pod's own credentials.
    pub(super) fn inside() -> Result<Self, PlatformError> {
        let config = inside()?;
        Ok(Self {
            kubeconfig: Vec::new(),
            context: "in-cluster".to_owned(),
            server: config.cluster_url.to_string(),
            namespace: config.default_namespace,
        })
    }

    /// A client for what the context means now; refused if that is another API server than then.
    pub(super) async fn reach(&self) -> Result<Client, PlatformError> {
        if self.kubeconfig.is_empty() {
            return self.client_of(true, inside()?);
        }
        let kubeconfig = read(&self.kubeconfig)?;
        let server = server(&kubeconfig, &self.context)?;
        if server != self.server {
            return Err(PlatformError::Cluster {
                act: format!("use the context `{}`", self.context),
                why: format!("it leads to {server} now, and led to {} then", self.server),
            });
        }
        self.client(kubeconfig).await
    }

    fn client_of(&self, retries: bool, mut config: Config) -> Result<Client, PlatformError> {
        config.connect_timeout = Some(CONNECT);
        config.default_retry = retries;
        Client::try_from(config).map_err(|error| PlatformError::Cluster {
            act: format!("use the context `{}`", self.context),
            why: words::of(&error),
        })
    }

    pub(super) async fn client(&self, kubeconfig: Kubeconfig) -> Result<Client, PlatformError> {
        self.client_that(true, kubeconfig).await
    }

    /// One that asks once: a refusal that names a time to wait is an answer, not to be waited out in silence.
    pub(super) async fn client_once(
        &self,
        kubeconfig: Kubeconfig,
    ) -> Result<Client, PlatformError> {
        self.client_that(false, kubeconfig).await
    }

    async fn client_that(
        &self,
        retries: bool,
        kubeconfig: Kubeconfig,
    ) -> Result<Client, PlatformError> {
        let options = KubeConfigOptions {
            context: Some(self.context.clone()),
            ..KubeConfigOptions::default()
        };
        let failed = |why: String| PlatformError::Cluster {
            act: format!("use the context `{}`", self.context),
            why,
        };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        self.client_of(retries, config.map_err(|error| failed(unusable(&error)))?)
    }

    /// Waits for one answer, but not for ever.
    pub(super) async fn answer<T>(
        &self,
        act: &str,
        asking: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, PlatformError> {
        self.answer_within(ANSWER, act, asking).await
    }

    pub(super) async fn answer_within<T>(
        &self,
        limit: Duration,
        act: &str,
        asking: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, PlatformError> {
        let act = act.to_owned();
        match timeout(limit, asking).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failed(act, &error)),
            Err(_) => {
                let why = format!(
                    "{} gave no answer within {} s",
                    self.server,
                    limit.as_secs()
                );
                Err(PlatformError::Unreachable { act, why })
            }
        }
    }

    /// An error with what was tried: one that may pass by itself, or one that will not.
    pub(super) fn failed(&self, act: String, error: &kube::Error) -> PlatformError {
        let why = self.said(error);
        let stays = match error {
            kube::Error::Api(status) => status.code < 500 && status.code != 429,
            kube::Error::Auth(_) => true,
            _ => false,
        };
        if stays {
            PlatformError::Cluster { act, why }
        } else {
            PlatformError::Unreachable { act, why }
        }
    }

    /// What an error means here, and what to try.
    pub(super) fn said(&self, error: &kube::Error) -> String {
        let Self {
            context, server, ..
        } = self;
        match error {
            kube::Error::Api(status) if status.code == 401 => format!(
                "{server} does not accept the credentials of context `{context}` (401); have they expired? try `kubectl --context {context} auth whoami`"
            ),
            kube::Error::Auth(_) => format!(
                "the credentials of context `{context}` could not be had; try `kubectl --context {context} auth whoami`"
            ),
            kube::Error::Api(_) => words::of(error),
            other => format!("{server} gave no answer: {}", words::of(other)),
        }
    }
}

fn inside() -> Result<Config, PlatformError> {
    Config::incluster().map_err(|error| PlatformError::Cluster {
        act: "find the cluster whose pod this is".to_owned(),
        why: error.to_string(),
    })
}

pub(super) fn files(chosen: &Chosen) -> Result<Vec<PathBuf>, PlatformError> {
    let found = match &chosen.kubeconfig {
        Some(path) => vec![path.clone()],
        None => match std::env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty()) {
            Some(paths) => std::env::split_paths(&paths)
                .filter(|path| path.is_file())
                .collect(),
            None => std::env::var_os("HOME")
                .map(|home| PathBuf::from(home).join(".kube/config"))
                .into_iter()
                .collect(),
        },
    };
    let absolute = found
        .iter()
        .map(std::path::absolute)
        .collect::<Result<Vec<_>, _>>();
    let files = absolute.unwrap_or(found);
    if files.iter().any(|path| path.is_file()) {
        return Ok(files);
    }
    let looked = files.first().map_or_else(
        || "$KUBECONFIG names no file that exists".to_owned(),
        |path| format!("there is no file `{}`", path.display()),
    );
    Err(PlatformError::Cluster {
        act: "find a kubeconfig".to_owned(),
        why: format!("{looked}; give `--kubeconfig FILE` or set KUBECONFIG"),
    })
}

pub(super) fn read(files: &[PathBuf]) -> Result<Kubeconfig, PlatformError> {
    let mut all = Kubeconfig::default();
    for path in files {
        let failed = |error: KubeconfigError| PlatformError::Cluster {
            act: format!("read the kubeconfig `{}`", path.display()),
            why: unusable(&error),
        };
        all = Kubeconfig::read_from(path)
            .and_then(|next| all.merge(next))
            .map_err(failed)?;
    }
    Ok(all)
}

/// What is wrong with a kubeconfig; never its text, which may hold a credential.
fn unusable(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => "it is not the YAML of a kubeconfig".to_owned(),
        other => other.to_string(),
    }
}

/// The API server of a context.
fn server(kubeconfig: &Kubeconfig, context: &str) -> Result<String, PlatformError> {
    let failed = |why: String| PlatformError::Cluster {
        act: format!("find the context `{context}`"),
        why,
    };
    let named = kubeconfig
        .contexts
        .iter()
        .find(|named| named.name == context);
    let Some(meant) = named.and_then(|named| named.context.as_ref()) else {
        let known: Vec<&str> = kubeconfig
            .contexts
            .iter()
            .map(|named| named.name.as_str())
            .collect();
        return Err(failed(match known.as_slice() {
            [] => "the kubeconfig has none".to_owned(),
            known => format!("the kubeconfig has {}", known.join(", ")),
        }));
    };
    let clusters = &kubeconfig.clusters;
    let cluster = clusters.iter().find(|named| named.name == meant.cluster);
    cluster
        .and_then(|named| named.cluster.as_ref()?.server.clone())
        .ok_or_else(|| failed(format!("its cluster `{}` has no server", meant.cluster)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECONFIG: &str = r#"
apiVersion: v1
kind: Config
clusters: [{ name: one, cluster: { server: "https://10.0.0.1:6443" } }]
users: [{ name: me, user: { token: s3cret } }]
contexts: [{ name: test, context: { cluster: one, user: me } }, { name: lost, context: { cluster: two, user: me } }]
"#;

    fn chosen(text: &str, context: &str) -> (tempfile::TempDir, Chosen) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config");
        std::fs::write(&path, text).expect("ours");
        let chosen = Chosen {
            kubeconfig: Some(path),
            context: context.to_owned(),
            namespace: "shop".to_owned(),
        };
        (folder, chosen)
    }

    fn refused(text: &str, context: &str) -> String {
        let (_folder, chosen) = chosen(text, context);
        let error = Place::find(&chosen).expect_err("it cannot be used");
        error.to_string()
    }

    #[test]
    fn a_place_names_the_server_and_holds_no_credential() {
        let (_folder, chosen) = chosen(KUBECONFIG, "test");
        let (place, _) = Place::find(&chosen).expect("a context");
        assert_eq!(place.server, "https://10.0.0.1:6443");
        let text = serde_json::to_string(&place).expect("plain data");
        assert!(!text.contains("s3cret"), "{text}");
    }

    #[test]
    fn what_cannot_be_used_is_named_with_a_way_out() {
        assert!(refused(KUBECONFIG, "prod").contains("the kubeconfig has test, lost"));
        assert!(refused(KUBECONFIG, "lost").contains("`two` has no server"));
        assert!(refused("", "test").contains("the kubeconfig has none"));
        let text = refused("users: [{ token: s3cret", "test");
        assert!(
            text.contains("not the YAML") && !text.contains("s3cret"),
            "{text}"
        );
        let (folder, mut gone) = chosen(KUBECONFIG, "test");
        gone.kubeconfig = Some(folder.path().join("gone"));
        let text = Place::find(&gone).expect_err("no file").to_string();
        assert!(text.contains("--kubeconfig FILE"), "{text}");
    }

    #[tokio::test]
    async fn a_context_that_leads_elsewhere_by_now_is_not_used() {
        let (_folder, chosen) = chosen(KUBECONFIG, "test");
        let (mut place, _) = Place::find(&chosen).expect("a context");
        place.server = "https://10.0.0.2:6443".to_owned();
        let error = place.reach().await.err().expect("refused");
        assert!(
            error
                .to_string()
                .contains("leads to https://10.0.0.1:6443 now")
        );
    }
}
