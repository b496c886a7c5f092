//! The stack's own certificate authority, and what it has signed: made once, kept with the other secrets.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::layout::{Layout, write_private};

const BEGIN_YEAR: i32 = 2020;
/// Nothing outside of this directory trusts them, so they need no end that somebody has to remember.
const END_YEAR: i32 = 2049;
const SERVER_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Where the certificates and keys are, all in PEM.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority's certificate: what a client trusts.
    pub ca: PathBuf,
    pub server: PathBuf,
    pub server_key: PathBuf,
    /// The server's key and certificate in one file, as Kafka wants them.
    pub server_both: PathBuf,
    /// For clients that show a certificate of their own.
    pub client: PathBuf,
    pub client_key: PathBuf,
}

impl Certificates {
    pub fn create(layout: &Layout) -> anyhow::Result<Self> {
        let file = |name: &str| layout.secret_file(name);
        let certificates = Self {
            ca: file("ca.pem"),
            server: file("server.pem"),
            server_key: file("server.key"),
            server_both: file("server-both.pem"),
            client: file("client.pem"),
            client_key: file("client.key"),
        };
        // the authority's file is written last: what is half made is made again
        if !certificates.ca.is_file() {
            certificates.make().context("make the certificates")?;
        }
        Ok(certificates)
    }

    fn make(&self) -> anyhow::Result<()> {
        let ca_key = KeyPair::generate()?;
        let mut ca = parameters(&[], "Sealtrail local stack")?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_certificate = ca.self_signed(&ca_key)?.pem();
        let issuer = Issuer::new(ca, ca_key);

        // a broker is also a client of brokers
        let (server, server_key) = signed(&issuer, &SERVER_NAMES, "localhost", &[ServerAuth, ClientAuth])?;
        let (client, client_key) = signed(&issuer, &[], "client", &[ClientAuth])?;
        write_private(&self.server, &server)?;
        write_private(&self.server_key, &server_key)?;
        write_private(&self.server_both, &format!("{server_key}{server}"))?;
        write_private(&self.client, &client)?;
        write_private(&self.client_key, &client_key)?;
        write_private(&self.ca, &ca_certificate)
    }

    /// Whether they are there, so that a directory shows how it was begun.
    pub fn exist(layout: &Layout) -> bool {
        fs::exists(layout.secret_file("ca.pem")).unwrap_or(false)
    }
}

fn parameters(names: &[&str], common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())?;
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters.not_before = date_time_ymd(BEGIN_YEAR, 1, 1);
    parameters.not_after = date_time_ymd(END_YEAR, 12, 31);
    Ok(parameters)
}

/// A certificate and its key.
fn signed(
    issuer: &Issuer<'_, KeyPair>,
    names: &[&str],
    common_name: &str,
    usages: &[ExtendedKeyUsagePurpose],
) -> Result<(String, String), rcgen::Error> {
    let mut leaf = parameters(names, common_name)?;
    leaf.use_authority_key_identifier_extension = true;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = usages.to_vec();
    let key = KeyPair::generate()?;
    Ok((leaf.signed_by(&key, issuer)?.pem(), key.serialize_pem()))
}
