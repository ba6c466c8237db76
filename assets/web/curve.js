// A curve of the loss: −ELBO, and the distortion and the rate that it is made of, over the steps.

const SPACE = "http://www.w3.org/2000/svg";
// The drawing's own units; and points that are drawn at most, each the mean of neighbouring steps.
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [640, 260, 52, 24, 8];
const POINTS = 400;

/** The lines, by the classes that style.css gives their colours to. */
export const LINES = ["elbo", "distortion", "rate"];

function part(name, attributes, text = "") {
    const made = document.createElementNS(SPACE, name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    made.textContent = text;
    return made;
}

// A round distance between marks, about a fourth of the whole.
function marks(low, high) {
    const rough = (high - low) / 4;
    const power = 10 ** Math.floor(Math.log10(rough));
    const unit = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
    const first = Math.ceil(low / unit);
    return Array.from({ length: Math.floor(high / unit) - first + 1 }, (_, at) => (first + at) * unit);
}

export class Curve {
    constructor(place) {
        this.drawing = part("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "curve" });
        place.append(this.drawing);
        this.clear();
    }

    clear() {
        this.points = [];
        this.paint();
    }

    /** Adds what a step came to. */
    add(step, distortion, rate) {
        this.points.push([step + 1, distortion + rate, distortion, rate]);
    }

    // Means of neighbours, so that a long training draws no more than a short one.
    #bins() {
        const size = Math.ceil(this.points.length / POINTS);
        return Array.from({ length: Math.ceil(this.points.length / size) }, (_, bin) => {
            const inside = this.points.slice(bin * size, (bin + 1) * size);
            return inside[0].map((_, at) => inside.reduce((sum, point) => sum + point[at], 0) / inside.length);
        });
    }

    paint() {
        const { drawing, points } = this;
        drawing.replaceChildren();
        if (points.length === 0) {
            drawing.setAttribute("aria-label", "No step was taken so far.");
            return;
        }
        const bins = this.#bins();
        const values = bins.flatMap(([, ...lines]) => lines);
        const [low, high] = [Math.min(0, ...values), Math.max(...values, 1)];
        const [first, last] = [points[0][0] - 1, Math.max(points[points.length - 1][0], points[0][0] + 9)];
        const x = (step) => LEFT + (step - first) / (last - first) * (WIDTH - LEFT - 8);
        const y = (value) => HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - BOTTOM - TOP);
        for (const value of marks(low, high)) {
            const at = y(value);
            drawing.append(part("line", { x1: LEFT, x2: WIDTH, y1: at, y2: at, class: "mark" }));
            drawing.append(part("text", { x: LEFT - 6, y: at + 4, "text-anchor": "end" }, String(Number(value.toPrecision(3)))));
        }
        for (const step of marks(first, last).filter(Number.isInteger)) {
            drawing.append(part("text", { x: x(step), y: HEIGHT - 6, "text-anchor": "middle" }, String(step)));
        }
        LINES.forEach((name, at) => {
            const line = bins.map((bin) => `${x(bin[0]).toFixed(1)},${y(bin[at + 1]).toFixed(1)}`);
            drawing.append(part("polyline", { points: line.join(" "), class: name }));
        });
        const now = points[points.length - 1].map((value) => value.toFixed(1));
        drawing.setAttribute("aria-label", `After step ${points[points.length - 1][0]}: −ELBO ${now[1]}, distortion ${now[2]}, rate ${now[3]} nats`);
    }
}
