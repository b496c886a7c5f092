//! `--kafka-config FILE`: the table `kafka` of a service's settings, for brokers that want TLS or a password.

use std::path::Path;

use anyhow::Context;
use kafka_io::KafkaConfig;
use serde::Deserialize;
use service_kit::toml_file;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KafkaFile {
    kafka: KafkaConfig,
}

pub fn read(path: &Path) -> anyhow::Result<KafkaConfig> {
    Ok(toml_file::read::<KafkaFile>(path).context("--kafka-config")?.kafka)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use kafka_io::security::{Mechanism, Protocol};

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        file
    }

    #[test]
    fn the_keys_are_those_of_the_services() {
        let file = file(
            "[kafka]\nbrokers = \"kafka:9093\"\n[kafka.security]\nprotocol = \"sasl_ssl\"\n\
             mechanism = \"scram_sha_256\"\nusername = \"ada\"\npassword = \"hunter2\"\n",
        );
        let config = read(file.path()).expect("reads");
        assert_eq!(config.brokers, "kafka:9093");
        assert_eq!(config.security.protocol, Protocol::SaslSsl);
        assert_eq!(config.security.mechanism, Some(Mechanism::ScramSha256));
    }

    #[test]
    fn a_fault_is_told_with_its_line_and_without_what_stands_there() {
        for (text, line) in [
            ("[kafka.security]\npassword = \"hunter2\n", 2),
            ("[kafka.security]\npassword = 4711\n", 2),
            ("[kafka.security]\npasword = \"hunter2\"\n", 2),
        ] {
            let said = format!("{:#}", read(file(text).path()).expect_err("refused"));
            assert!(said.contains(&format!("line {line}")), "{said}");
            assert!(!said.contains("hunter2") && !said.contains("4711"), "{said}");
        }
    }
}
