// The dashboards of deploy/grafana/dashboards in a page of its own, for a laptop without Grafana. It knows the three
// kinds of panel that they use, stacks bars but no lines, and has no editor.

import * as chart from './chart.js';
import { ask, run, timeRange } from './query.js';

const BOARDS = ['pipeline', 'tenants', 'clickhouse'];
const REFRESH_MS = 5000;

// behind the # a browser keeps it to itself: the address of ClickHouse holds a password
const place = new URLSearchParams(location.hash.slice(1));
const chosen = { board: place.get('board') ?? BOARDS[0], clickhouse: place.get('clickhouse'), variables: {} };
const byId = (id) => document.getElementById(id);

/** The dashboard that is shown. */
let board = null;
/** Counts refreshes, so that a late answer does not overwrite a newer one. */
let turn = 0;

async function open(name) {
  board = await (await fetch(`../dashboards/${name}.json`)).json();
  d3.select('#boards').html('').selectAll('a').data(BOARDS).enter().append('a')
    .attr('href', (other) => `#${new URLSearchParams({ ...Object.fromEntries(place), board: other })}`)
    .classed('chosen', (other) => other === name).text((other) => other);
  document.title = board.title;
  layOut();
  await askVariables();
  await refresh();
}

/** A choice for each variable; at first everything. */
async function askVariables() {
  const root = d3.select('#variables').html('');
  for (const variable of board.templating.list) {
    const all = (await ask(variable.query, chosen.clickhouse)).data.map((row) => row[0]);
    chosen.variables[variable.name] = all;
    const select = root.append('label').text(`${variable.label} `).append('select');
    select.selectAll('option').data(['All', ...all]).enter().append('option').text((value) => value);
    select.on('change', function change() {
      chosen.variables[variable.name] = this.value === 'All' ? all : [this.value];
      refresh();
    });
  }
}

function layOut() {
  const root = d3.select('#panels').html('');
  for (const panel of board.panels) {
    if (panel.type === 'row') {
      root.append('h2').text(panel.title);
      continue;
    }
    const section = root.append('section').style('grid-column', `span ${panel.gridPos.w}`);
    section.append('h3').text(panel.title).attr('title', panel.description);
    section.append('div').attr('id', `panel-${panel.id}`);
  }
}

async function refresh() {
  const mine = ++turn;
  const range = timeRange(Number(byId('range').value));
  await Promise.all(board.panels.filter((panel) => panel.targets).map((panel) => draw(panel, range, mine)));
  byId('now').textContent = `${new Date(range.to * 1000).toISOString().slice(0, 19)}Z`;
}

async function draw(panel, range, mine) {
  let answer = null;
  let fault = null;
  try {
    answer = await run(panel, range, chosen.variables, chosen.clickhouse);
  } catch (error) {
    fault = error;
  }
  // a newer refresh has begun meanwhile
  if (mine !== turn) return;
  const node = d3.select(`#panel-${panel.id}`).html('');
  if (fault) node.append('div').classed('error', true).text(fault.message);
  else if (panel.type === 'stat') chart.stat(node, panel, answer);
  else if (panel.type === 'table') chart.table(node, answer);
  else chart.lines(node, panel, answer, range);
}

async function start() {
  try {
    await open(chosen.board);
    byId('range').addEventListener('change', refresh);
    setInterval(refresh, REFRESH_MS);
  } catch (error) {
    byId('fault').hidden = false;
    byId('fault').textContent = error.message;
  }
}

window.addEventListener('hashchange', () => location.reload());
start();
