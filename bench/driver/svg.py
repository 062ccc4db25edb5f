"""Line charts as SVG: a few series over a common x axis, linear or logarithmic."""

import math
from html import escape

WIDTH, HEIGHT = 800, 430
LEFT, RIGHT, TOP, BOTTOM = 78, 208, 46, 56
COLOURS = ("#c2410c", "#1d4ed8", "#0891b2", "#15803d", "#7c3aed", "#a16207", "#475569", "#be185d")
MARKS = ("circle", "square", "diamond", "triangle")


def short(v):
    if v == 0:
        return "0"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(v) >= size:
            return f"{v / size:.3g}{letter}"
    return f"{v:.3g}"


class Axis:
    def __init__(self, values, low, high, log, ticks=None, zero=True):
        values = [v for v in values if v is not None and (v > 0 or not log)] or [1]
        self.log, self.low, self.high = log, low, high  # pixels
        if log:
            self.a = math.log10(min(values))
            self.b = math.log10(max(values))
            if ticks is None:  # whole decades, so that the grid means something
                self.a, self.b = math.floor(self.a), math.ceil(self.b)
        else:
            self.a, self.b = (min(0.0, min(values)), max(values) * 1.05) if zero else \
                (min(values), max(values))
        if self.b == self.a:
            self.b = self.a + 1
        self.ticks = ticks or self._ticks()

    def _ticks(self):
        if self.log:
            decades = range(int(self.a), int(self.b) + 1)
            if len(decades) <= 3:
                return [m * 10 ** d for d in decades for m in (1, 2, 5)
                        if self.a <= math.log10(m * 10 ** d) <= self.b + 1e-9]
            return [10 ** d for d in decades]
        step = 10 ** math.floor(math.log10((self.b - self.a) / 4))
        while (self.b - self.a) / step > 8:
            step *= 2.5 if str(step).lstrip("0.").startswith("2") else 2
        n = int((self.b - self.a) / step) + 1
        return [round(i * step, 12) for i in range(n)]

    def at(self, v):
        x = math.log10(v) if self.log else v
        return self.low + (x - self.a) / (self.b - self.a) * (self.high - self.low)


def _mark(kind, x, y, colour):
    if kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" fill="{colour}"/>'
    if kind == "square":
        return f'<rect x="{x - 3.3:.1f}" y="{y - 3.3:.1f}" width="6.6" height="6.6" fill="{colour}"/>'
    d = {"diamond": ((0, -4.6), (4.6, 0), (0, 4.6), (-4.6, 0)),
         "triangle": ((0, -4.4), (4.2, 3.4), (-4.2, 3.4))}[kind]
    points = " ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in d)
    return f'<polygon points="{points}" fill="{colour}"/>'


def _spread_labels(ends):
    """Moves labels at the right so that they don't cover each other."""
    ends.sort(key=lambda e: e[0])
    placed = []
    for y, text, colour in ends:
        y = max(y, placed[-1][0] + 15) if placed else y
        placed.append((y, text, colour))
    over = placed[-1][0] - (HEIGHT - BOTTOM + 8) if placed else 0
    if over > 0:
        for i in range(len(placed) - 1, -1, -1):
            limit = placed[i + 1][0] - 15 if i + 1 < len(placed) else HEIGHT - BOTTOM + 8
            placed[i] = (min(placed[i][0], limit),) + placed[i][1:]
    return placed


def chart(title, x_title, y_title, series, x_log=True, y_log=False, x_ticks=None, x_names=None,
          limit=None):
    """series: [(name, [(x, median, least, greatest)], dashed)]; limit: (y, text), a line."""
    xs = [p[0] for _, points, _ in series for p in points]
    ys = [v for _, points, _ in series for p in points for v in p[1:]]
    if limit:
        ys.append(limit[0])
    x_axis = Axis(xs, LEFT + 14, WIDTH - RIGHT - 14, x_log, x_ticks or sorted(set(xs)),
                  zero=False)
    y_axis = Axis(ys, HEIGHT - BOTTOM, TOP, y_log)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
           f'width="{WIDTH}" height="{HEIGHT}" font-family="DejaVu Sans, Helvetica, Arial, '
           'sans-serif" font-size="12">',
           f'<title>{escape(title)}</title>', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
           f'<text x="{LEFT}" y="24" font-size="15" font-weight="bold" fill="#111">'
           f'{escape(title)}</text>']
    for v in y_axis.ticks:
        y = y_axis.at(v)
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
                   f'stroke="#e5e7eb"/><text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" '
                   f'fill="#444">{short(v)}</text>')
    for v in x_axis.ticks:
        x = x_axis.at(v)
        name = (x_names or {}).get(v, short(v))
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{HEIGHT - BOTTOM}" '
                   f'y2="{HEIGHT - BOTTOM + 5}" stroke="#444"/><text x="{x:.1f}" '
                   f'y="{HEIGHT - BOTTOM + 19}" text-anchor="middle" fill="#444">{escape(name)}'
                   '</text>')
    out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" '
               f'y2="{HEIGHT - BOTTOM}" stroke="#444"/>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle" '
               f'fill="#222">{escape(x_title)}</text>')
    out.append(f'<text transform="translate(18 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" '
               f'text-anchor="middle" fill="#222">{escape(y_title)}</text>')
    ends = []
    if limit:
        y = y_axis.at(limit[0])
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
                   'stroke="#dc2626" stroke-dasharray="6 4"/>')
        ends.append((y, limit[1], "#dc2626"))
    for i, (name, points, dashed) in enumerate(series):
        colour, mark = COLOURS[i % len(COLOURS)], MARKS[i % len(MARKS)]
        at = [(x_axis.at(p[0]), y_axis.at(p[1])) for p in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        dash = ' stroke-dasharray="5 3"' if dashed else ""
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                   f'stroke-width="{3 if name == "ratoon" else 2}"{dash}/>')
        for (x, y), p in zip(at, points):
            if len(p) == 4 and p[2] != p[3]:
                out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y_axis.at(p[2]):.1f}" '
                           f'y2="{y_axis.at(p[3]):.1f}" stroke="{colour}" stroke-opacity="0.45"/>')
            out.append(_mark(mark, x, y, colour))
        ends.append((at[-1][1], name, colour))
    for y, text, colour in _spread_labels(ends):
        out.append(f'<text x="{WIDTH - RIGHT + 8}" y="{y + 4:.1f}" fill="{colour}">{escape(text)}'
                   '</text>')
    out.append("</svg>\n")
    return "\n".join(out)
