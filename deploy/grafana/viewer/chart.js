// Draws answers: a number, a table, lines over time.

const COLOURS = d3.scale.category10().range().concat(d3.scale.category20b().range());
const HEIGHT = 150;
const MARGIN = { top: 6, right: 8, bottom: 18, left: 60 };

export function format(value, unit) {
  if (value === null || Number.isNaN(value)) return 'none';
  const short = (number) => d3.format(Math.abs(number) >= 1000 ? '.3s' : '.3r')(number).replace(/\.0+$|(\.\d*?)0+$/, '$1');
  switch (unit) {
    case 's': return value < 1 ? `${short(value * 1000)} ms` : `${short(value)} s`;
    case 'µs': return value < 1000 ? `${short(value)} µs` : `${short(value / 1000)} ms`;
    case 'bytes': return `${d3.format('.3s')(value)}B`;
    case 'Bps': return `${d3.format('.3s')(value)}B/s`;
    case 'percentunit': return `${short(value * 100)} %`;
    case 'eps': case 'reqps': return `${short(value)}/s`;
    default: return value === 0 ? '0' : short(value);
  }
}

export function stat(node, panel, series) {
  const last = series[0]?.points.at(-1);
  const steps = panel.fieldConfig.defaults.thresholds?.steps ?? [];
  const red = steps.find((step) => step.color === 'red')?.value;
  const text = node.append('div').classed('stat', true);
  text.classed('bad', red !== undefined && last && last[1] >= red);
  text.text(last ? format(last[1], panel.fieldConfig.defaults.unit) : 'none');
}

export function table(node, answer) {
  if (answer.data.length === 0) return none(node);
  const isNumber = answer.meta.map((column) => /^(Nullable\()?(U?Int|Float)/.test(column.type));
  const grid = node.append('div').classed('scroll', true).append('table');
  grid.append('tr').selectAll('th').data(answer.meta).enter().append('th').text((column) => column.name);
  grid.selectAll('tr.row').data(answer.data).enter().append('tr')
    .selectAll('td').data((row) => row).enter().append('td')
    .classed('number', (_, index) => isNumber[index]).text((value) => value);
}

export function lines(node, panel, series, range) {
  const drawn = series.filter((one) => one.points.some(([, value]) => Number.isFinite(value)));
  if (drawn.length === 0) return none(node);
  const unit = panel.fieldConfig.defaults.unit;
  const width = Math.max(200, node.node().clientWidth - 16);
  const svg = node.append('svg').attr('viewBox', `0 0 ${width} ${HEIGHT}`);
  const x = d3.time.scale.utc().domain([range.from * 1000, range.to * 1000]).range([MARGIN.left, width - MARGIN.right]);
  const isBars = panel.fieldConfig.defaults.custom.drawStyle === 'bars';
  if (isBars) stack(drawn);
  const most = d3.max(drawn, (one) => d3.max(one.points, (point) => (point[2] ?? 0) + point[1])) || 1;
  const y = d3.scale.linear().domain([0, most]).nice().range([HEIGHT - MARGIN.bottom, MARGIN.top]);
  const axis = (scale, side) => d3.svg.axis().scale(scale).orient(side).ticks(5);
  svg.append('g').classed('axis', true).attr('transform', `translate(0,${HEIGHT - MARGIN.bottom})`).call(axis(x, 'bottom').tickFormat(d3.time.format.utc('%H:%M')));
  svg.append('g').classed('axis', true).attr('transform', `translate(${MARGIN.left},0)`)
    .call(axis(y, 'left').tickFormat((value) => format(value, unit)));
  const line = d3.svg.line().defined((point) => Number.isFinite(point[1])).x((p) => x(p[0])).y((p) => y(p[1]));
  const legend = node.append('div').classed('legend', true);
  drawn.forEach((one, index) => {
    const colour = COLOURS[index % COLOURS.length];
    const last = one.points.at(-1)[1];
    if (isBars) bars(svg, one.points, x, y, colour, range.step);
    else svg.append('path').classed('line', true).style('stroke', colour).attr('d', line(one.points));
    const entry = legend.append('span');
    entry.append('i').style('background', colour);
    entry.append('span').text(`${one.name || panel.title}: ${format(last, unit)}`);
  });
}

/** Gives each point the height of those below it. */
function stack(series) {
  const heights = new Map();
  for (const one of series) {
    for (const point of one.points) {
      point[2] = heights.get(point[0]) ?? 0;
      heights.set(point[0], point[2] + point[1]);
    }
  }
}

function bars(svg, points, x, y, colour, step) {
  const width = Math.max(2, x(step * 1000) - x(0) - 1);
  svg.append('g').style('fill', colour).selectAll('rect').data(points).enter().append('rect')
    .attr('x', (p) => x(p[0])).attr('width', width)
    .attr('y', (p) => y(p[2] + p[1])).attr('height', (p) => y(p[2]) - y(p[2] + p[1]));
}

function none(node) {
  node.append('div').classed('none', true).text('nothing in this time');
}
