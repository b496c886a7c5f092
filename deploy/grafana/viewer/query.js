// Runs a panel's queries as Grafana would: Prometheus by its HTTP API, ClickHouse by its own.

const MAX_POINTS = 240;
/** How often `make dashboards` scrapes, in seconds. */
const SCRAPE_S = 5;

/** The time that is looked at: seconds since 1970, and the step between two points. */
export function timeRange(seconds) {
  const to = Math.floor(Date.now() / 1000);
  return { from: to - seconds, to, step: Math.max(SCRAPE_S, Math.ceil(seconds / MAX_POINTS)) };
}

export async function run(panel, range, variables, clickhouse) {
  const answers = await Promise.all(panel.targets.map((target) =>
    target.rawSql ? sql(panel, target, range, variables, clickhouse) : promql(target, range)));
  return panel.type === 'table' ? answers[0] : answers.flat();
}

/** Series: a name and points of [time in ms, value]. */
async function promql(target, range) {
  const rate = Math.max(range.step + SCRAPE_S, 4 * SCRAPE_S);
  const query = target.expr.replaceAll('$__rate_interval', `${rate}s`).replaceAll('$__interval', `${range.step}s`);
  const parameters = target.instant
    ? { query, time: range.to }
    : { query, start: range.from, end: range.to, step: range.step };
  const path = target.instant ? 'query' : 'query_range';
  const answer = await fetch(`../../api/v1/${path}?${new URLSearchParams(parameters)}`);
  const body = await answer.json();
  if (body.status !== 'success') throw new Error(body.error);
  return body.data.result.map((series) => ({
    name: legend(target.legendFormat, series.metric),
    points: (series.values ?? [series.value]).map(([time, value]) => [time * 1000, Number(value)]),
  }));
}

function legend(format, labels) {
  return (format || '').replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? '');
}

async function sql(panel, target, range, variables, clickhouse) {
  const answer = await ask(expand(target.rawSql, range, variables), clickhouse);
  if (panel.type === 'table') return answer;
  if (panel.type === 'stat') {
    return [{ name: '', points: answer.data.map((row) => [range.to * 1000, Number(row[0])]) }];
  }
  const series = new Map();
  for (const row of answer.data) {
    const name = row.slice(1, -1).join(' ');
    if (!series.has(name)) series.set(name, []);
    series.get(name).push([Date.parse(`${row[0]}Z`.replace(' ', 'T')), Number(row.at(-1))]);
  }
  return [...series].map(([name, points]) => ({ name, points }));
}

/** The macros of Grafana's data source for ClickHouse, and its variables. */
function expand(text, range, variables) {
  const quote = (value) => `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  return text
    .replace(/\$__timeFilter\((\w+)\)/g, (_, column) =>
      `${column} >= toDateTime(${range.from}) AND ${column} <= toDateTime(${range.to})`)
    .replace(/\$__timeInterval\((\w+)\)/g, (_, column) =>
      `toStartOfInterval(toDateTime(${column}), INTERVAL ${range.step} second)`)
    .replace(/\$\{(\w+):singlequote\}/g, (_, name) => variables[name].map(quote).join(',') || "''");
}

export async function ask(query, clickhouse) {
  if (!clickhouse) throw new Error('ClickHouse is not named; open the link that `make dashboards` printed');
  const url = new URL(clickhouse);
  // an answer to a page of another port, and no more than reading
  url.searchParams.set('add_http_cors_header', '1');
  url.searchParams.set('readonly', '2');
  url.searchParams.set('session_timezone', 'UTC');
  const answer = await fetch(url, { method: 'POST', body: `${query} FORMAT JSONCompact` });
  if (!answer.ok) throw new Error((await answer.text()).slice(0, 300));
  return answer.json();
}
