//! `--config FILE`: the flags of `windlass run` as a versioned object; a flag that is given wins.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Failure;
use super::values::{ControllerName, EngineName, Length, LogFormat, ZoneName};

const API_VERSION: &str = "config.windlass.dev/v1alpha1";
const KIND: &str = "WindlassConfiguration";

/// What a configuration file may say; every field has the meaning of the flag of its name.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ConfigFile {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) kubeconfig: Option<PathBuf>,
    pub(super) controllers: Option<Vec<ControllerName>>,
    pub(super) leader_elect: Option<bool>,
    pub(super) bind_address: Option<String>,
    pub(super) kube_api_qps: Option<f64>,
    pub(super) kube_api_burst: Option<u32>,
    pub(super) workers: Option<usize>,
    pub(super) startup_timeout: Option<Length>,
    pub(super) job_backoff_base: Option<Length>,
    pub(super) job_backoff_max: Option<Length>,
    pub(super) job_sync_batch: Option<Length>,
    pub(super) job_max_uncounted_pods: Option<u32>,
    pub(super) max_pods_per_sync: Option<u32>,
    pub(super) cron_job_time_zone: Option<ZoneName>,
    pub(super) cron_job_edits_run_the_past: Option<bool>,
    pub(super) engine: Option<EngineName>,
    pub(super) core: Option<PathBuf>,
    pub(super) plugin_dir: Option<PathBuf>,
    pub(super) plugin_cache: Option<PathBuf>,
    pub(super) policy_resources: Option<bool>,
    pub(super) plugin_deadline: Option<Length>,
    pub(super) verbosity: Option<u8>,
    pub(super) log_format: Option<LogFormat>,
}

/// The configuration in the file at `path`.
pub(super) fn read(path: &Path) -> Result<ConfigFile, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::Usage(format!(
            "cannot read the configuration {shown}: {error}; name a file that exists with --config"
        ))
    })?;
    let file = parse(&text)
        .map_err(|reason| Failure::Usage(format!("the configuration {shown} is wrong: {reason}")))?;
    Ok(file)
}

fn parse(text: &str) -> Result<ConfigFile, String> {
    let file: ConfigFile = serde_saphyr::from_str(text).map_err(|error| {
        let told = error.to_string();
        told.lines().next().unwrap_or_default().to_owned()
    })?;
    if file.api_version != API_VERSION || file.kind != KIND {
        return Err(format!(
            "it is of apiVersion {:?} and kind {:?}; write apiVersion: {API_VERSION} and kind: {KIND}",
            file.api_version, file.kind
        ));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_right_kind_is_read() {
        let text = "apiVersion: config.windlass.dev/v1alpha1\nkind: WindlassConfiguration\njobSyncBatch: 250ms\nengine: native\ncontrollers: [job]\n";
        let file = parse(text).expect("a configuration");
        assert_eq!(file.job_sync_batch.map(Length::ms), Some(250));
        assert_eq!(file.engine, Some(EngineName::Native));
    }

    #[test]
    fn a_field_that_does_not_exist_and_a_foreign_kind_are_refused() {
        let head = "apiVersion: config.windlass.dev/v1alpha1\nkind: WindlassConfiguration\n";
        assert!(parse(&format!("{head}worker: 3\n")).expect_err("a refusal").contains("worker"));
        assert!(
            parse("kind: Pod\napiVersion: v1\n").expect_err("a refusal").contains("WindlassConfiguration")
        );
    }
}
