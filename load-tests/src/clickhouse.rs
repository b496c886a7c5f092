//! ClickHouse over its HTTP interface, to read.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

use crate::env::Settings;
use crate::send::chain;

/// Between two pieces of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

pub struct ClickHouse {
    http: reqwest::Client,
    url: String,
}

/// Values for `{name:Type}` in a query.
pub type Params<'a> = &'a [(&'a str, String)];

impl ClickHouse {
    pub fn of(settings: &Settings<'_>) -> Result<Self> {
        let http = settings.http()?.read_timeout(READ_TIMEOUT).build();
        Ok(Self { http: http.context("cannot set up the HTTP client")?, url: settings.clickhouse_url()? })
    }

    /// The rows of a query without FORMAT.
    pub async fn rows<T: DeserializeOwned>(&self, sql: &str, params: Params<'_>) -> Result<Vec<T>> {
        let sql = format!("{sql}\nFORMAT JSONEachRow");
        let body = self.ask(&sql, params, true).await?.text().await.map_err(cut_off)?;
        let row = |line| {
            serde_json::from_str(line)
                .with_context(|| format!("clickhouse answered an unexpected row: {line}"))
        };
        body.lines().map(row).collect()
    }

    /// The only row of a query.
    pub async fn row<T: DeserializeOwned>(&self, sql: &str, params: Params<'_>) -> Result<T> {
        self.rows(sql, params).await?.pop().context("clickhouse answered no row")
    }

    /// The fixed-size rows of a query without FORMAT, as RowBinary, one at a time.
    pub async fn binary_rows<const SIZE: usize>(
        &self,
        sql: &str,
        params: Params<'_>,
        mut each: impl FnMut(&[u8; SIZE]),
    ) -> Result<()> {
        let sql = format!("{sql}\nFORMAT RowBinary");
        let mut response = self.ask(&sql, params, false).await?;
        let mut rest: Vec<u8> = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(cut_off)? {
            rest.extend_from_slice(&piece);
            let mut rows = rest.chunks_exact(SIZE);
            for row in rows.by_ref() {
                each(row.try_into().context("a row of another size")?);
            }
            rest = rows.remainder().to_vec();
        }
        if !rest.is_empty() {
            bail!("clickhouse ended its answer in the middle of a row");
        }
        Ok(())
    }

    async fn ask(&self, sql: &str, params: Params<'_>, whole: bool) -> Result<reqwest::Response> {
        let mut query: Vec<(String, &str)> =
            params.iter().map(|(name, value)| (format!("param_{name}"), value.as_str())).collect();
        query.push(("output_format_json_quote_64bit_integers".to_owned(), "0"));
        if whole {
            // a fault in the middle of a query then has a status of its own
            query.push(("wait_end_of_query".to_owned(), "1"));
        }
        let request = self.http.post(&self.url).query(&query).body(sql.to_owned());
        // the URL holds a password and stays out of every error
        let response = request.send().await.map_err(|error| {
            anyhow::anyhow!("clickhouse does not answer; is the stack up? ({})", chain(&error.without_url()))
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.text().await.map_err(cut_off)?;
        bail!("clickhouse answered {status}: {}", body.lines().next().unwrap_or_default())
    }
}

fn cut_off(error: reqwest::Error) -> anyhow::Error {
    anyhow::anyhow!("clickhouse broke off its answer: {}", chain(&error.without_url()))
}
