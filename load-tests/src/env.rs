//! Where the stack is: flags, then the file of `--env-file`, then the environment.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::args::StackFlags;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The variables that a stack writes down for its clients.
pub struct Settings<'a> {
    flags: &'a StackFlags,
    file: HashMap<String, String>,
}

impl<'a> Settings<'a> {
    pub fn read(flags: &'a StackFlags) -> Result<Self> {
        let file = match &flags.env_file {
            None => HashMap::new(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}; is the stack up?", path.display()))?;
                parse(&text).with_context(|| format!("{} is no list of KEY=VALUE", path.display()))?
            }
        };
        Ok(Self { flags, file })
    }

    pub fn gateway_url(&self) -> Result<String> {
        let url = self.required(self.flags.gateway_url.clone(), "SEALTRAIL_GATEWAY_URL", "--gateway-url")?;
        Ok(http(url, "the gateway's URL")?.trim_end_matches('/').to_owned())
    }

    pub fn api_key(&self) -> Result<String> {
        self.variable("SEALTRAIL_API_KEY").context(
            "no API key: set SEALTRAIL_API_KEY, or name the file that holds it with --env-file .local/demo.env",
        )
    }

    pub fn query_url(&self) -> Result<String> {
        let url = self.required(None, "SEALTRAIL_QUERY_URL", "--env-file")?;
        Ok(http(url, "the query API's URL")?.trim_end_matches('/').to_owned())
    }

    pub fn registry_url(&self) -> Result<String> {
        http(self.required(None, "SEALTRAIL_REGISTRY_URL", "--env-file")?, "the registry's URL")
    }

    /// The brokers of a stack without passwords.
    pub fn plain_kafka(&self) -> Result<String> {
        if self.variable("SEALTRAIL_KAFKA_CONFIG").is_some() {
            bail!("this command speaks to Kafka without TLS: give it a stack without --secured");
        }
        self.required(None, "SEALTRAIL_KAFKA", "--env-file")
    }

    /// All that the file says, for another command of ours.
    pub fn variables(&self) -> Vec<(String, String)> {
        self.file.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    pub fn clickhouse_url(&self) -> Result<String> {
        let flag = self.flags.clickhouse_url.clone();
        http(self.required(flag, "SEALTRAIL_CLICKHOUSE_URL", "--clickhouse-url")?, "ClickHouse's URL")
    }

    /// What every HTTP client here begins with: whom it trusts, and no proxy on the way.
    pub fn http(&self) -> Result<reqwest::ClientBuilder> {
        let ca_file = self.variable("SEALTRAIL_CA_FILE").map(PathBuf::from);
        let tls = client_security::client_config("SEALTRAIL_CA_FILE", ca_file.as_deref())?;
        Ok(reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_TIMEOUT)
            .no_proxy())
    }

    pub fn run_dir(&self) -> Result<PathBuf> {
        match &self.flags.run_dir {
            Some(dir) => Ok(dir.clone()),
            None => self.required(None, "SEALTRAIL_RUN_DIR", "--run-dir").map(PathBuf::from),
        }
    }

    fn required(&self, flag: Option<String>, variable: &str, flag_name: &str) -> Result<String> {
        flag.or_else(|| self.variable(variable)).with_context(|| {
            format!(
                "{variable} is not known: start the stack and give --env-file .local/demo.env, set it, or give {flag_name}"
            )
        })
    }

    fn variable(&self, name: &str) -> Option<String> {
        let value = self.file.get(name).cloned().or_else(|| std::env::var(name).ok());
        value.filter(|value| !value.is_empty())
    }
}

fn http(url: String, what: &str) -> Result<String> {
    if url.starts_with("http://") || url.starts_with("https://") {
        Ok(url)
    } else {
        // not the URL itself: it may hold a password
        bail!("{what} must start with http:// or https://")
    }
}

/// Lines KEY=VALUE as a shell reads them: `#` comments, an optional `export`, and quotes around a value.
pub fn parse(text: &str) -> Result<HashMap<String, String>> {
    let mut variables = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((key, value)) = line.split_once('=') else { bail!("line {} has no '='", index + 1) };
        variables.insert(key.trim().to_owned(), unquoted(value.trim()).to_owned());
    }
    Ok(variables)
}

fn unquoted(value: &str) -> &str {
    ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_as_a_shell_would() {
        let text = "# the demo\n\nSEALTRAIL_A=http://h/?user=u&password=a=b\nexport SEALTRAIL_B='two words'\nC=\"x\"\n";
        let variables = parse(text).expect("parses");
        assert_eq!(variables["SEALTRAIL_A"], "http://h/?user=u&password=a=b");
        assert_eq!(variables["SEALTRAIL_B"], "two words");
        assert_eq!(variables["C"], "x");
        assert!(parse("no equals sign").is_err());
    }

    #[test]
    fn a_flag_goes_first_and_what_is_missing_is_named() {
        let flags = StackFlags { gateway_url: Some("http://here:1/".to_owned()), ..StackFlags::default() };
        let settings = Settings {
            flags: &flags,
            file: HashMap::from([("SEALTRAIL_GATEWAY_URL".to_owned(), "http://there:2".to_owned())]),
        };
        assert_eq!(settings.gateway_url().expect("known"), "http://here:1");
        assert_eq!(settings.variable("SEALTRAIL_GATEWAY_URL").expect("known"), "http://there:2");
        let error = http("ftp://h/?password=secret".to_owned(), "it").expect_err("no HTTP");
        assert!(!error.to_string().contains("secret"));
    }
}
