// The section with the latent space: an example that follows a plane and sliders.

import { element } from "./examples.js";

// Nats below which a dimension says nothing, as one deviation of its codes.
const QUIET = 0.01;
// Pictures along each side behind the plane, and pixels of the plane.
const [SIDE, PIXELS] = [8, 320];

/** Calls with what came last, one call at a time. */
export function latest(of) {
    let [busy, waiting] = [false, null];
    return async (...given) => {
        waiting = given;
        if (busy) {
            return;
        }
        busy = true;
        try {
            while (waiting) {
                const next = waiting;
                waiting = null;
                await of(...next);
            }
        } finally {
            busy = false;
        }
    };
}

/** From where to where a dimension goes. */
function ends({ standard }, { mean, deviation }) {
    const [middle, unit] = standard ? [0, 1] : [mean, Math.max(deviation, 0.01)];
    return [middle - 3 * unit, middle + 3 * unit];
}

function sliders({ model, state }) {
    const { dimensions, size } = model.about;
    // Of a model that trains any dimension may have something to tell in a moment.
    const active = dimensions.filter((dimension, at) => model.about.trains || at < 2 || dimension.size >= QUIET);
    const quiet = dimensions.filter((dimension) => !active.includes(dimension));
    const unit = size === "rate in nats" ? "nats" : "deviation";
    const slider = (dimension) => {
        const [min, max] = ends(model.about, dimension);
        const input = element("input", { type: "range", min, max, step: (max - min) / 240, id: `z${dimension.index}` });
        const value = element("output", { htmlFor: input.id });
        input.addEventListener("input", () => state.move([[dimension.index, Number(input.value)]]));
        state.watch(() => {
            input.value = state.z[dimension.index];
            value.textContent = state.z[dimension.index].toFixed(2);
        });
        const name = element("span", { textContent: `z${dimension.index} (${dimension.size.toFixed(2)} ${unit})` });
        return element("label", { className: "slider" }, name, value, input);
    };
    document.getElementById("sliders").append(...active.map(slider));
    if (quiet.length > 0) {
        const place = document.getElementById("quiet");
        place.hidden = false;
        place.querySelector("summary").textContent = `${quiet.length} further dimensions say less than ${QUIET} ${unit} each`;
        document.getElementById("more").append(...quiet.map(slider));
    }
}

function plane({ model, examples, state, show }) {
    const [canvas, across, up] = ["plane", "across", "up"].map((id) => document.getElementById(id));
    const { dimensions } = model.about;
    if (dimensions.length < 2) {
        document.getElementById("plane-side").hidden = true;
        return;
    }
    const option = ({ index }, at) => element("option", { value: at, textContent: `z${index}` });
    across.append(...dimensions.map(option));
    up.append(...dimensions.map(option));
    up.value = "1";
    Object.assign(canvas, { width: PIXELS, height: PIXELS });
    const context = canvas.getContext("2d");
    const backdrop = element("canvas", { width: PIXELS, height: PIXELS });
    const axes = () => [across, up].map(({ value }) => dimensions[Number(value)]);
    // What a place of the plane stands for, from 0 to 1 to the right and upwards.
    const moves = (place) => axes().map((dimension, axis) => {
        const [low, high] = ends(model.about, dimension);
        return [dimension.index, low + place[axis] * (high - low)];
    });
    const paint = () => {
        context.clearRect(0, 0, PIXELS, PIXELS);
        context.drawImage(backdrop, 0, 0);
        context.strokeStyle = "#888";
        context.lineWidth = 1;
        context.strokeRect(0, PIXELS / 2, PIXELS, 0);
        context.strokeRect(PIXELS / 2, 0, 0, PIXELS);
        const [x, y] = axes().map((dimension) => {
            const [low, high] = ends(model.about, dimension);
            return (state.z[dimension.index] - low) / (high - low) * PIXELS;
        });
        context.strokeStyle = "#e8812b";
        context.lineWidth = 3;
        context.beginPath();
        context.arc(x, PIXELS - y, 7, 0, 2 * Math.PI);
        context.stroke();
    };
    // Pictures all over the plane, the other dimensions as they are.
    const fill = latest(async () => {
        const places = Array.from({ length: SIDE * SIDE }, (_, at) => {
            return [(at % SIDE + 0.5) / SIDE, 1 - (Math.floor(at / SIDE) + 0.5) / SIDE];
        });
        const decoded = await model.decode(places.map((place) => state.moved(moves(place))), state.class);
        const tiles = element("canvas");
        examples.tiles(tiles, decoded, SIDE);
        const behind = backdrop.getContext("2d");
        behind.imageSmoothingEnabled = false;
        behind.drawImage(tiles, 0, 0, PIXELS, PIXELS);
        behind.fillStyle = "#0008";
        behind.fillRect(0, 0, PIXELS, PIXELS);
        paint();
    });
    const refill = () => (examples.arePictures ? fill() : paint());
    const at = ({ offsetX, offsetY }) => {
        const part = (value, extent) => Math.min(Math.max(value / extent, 0), 1);
        return [part(offsetX, canvas.clientWidth), 1 - part(offsetY, canvas.clientHeight)];
    };
    canvas.addEventListener("pointerdown", (event) => {
        canvas.setPointerCapture(event.pointerId);
        state.move(moves(at(event)));
    });
    canvas.addEventListener("pointermove", (event) => {
        if (event.buttons > 0) {
            state.move(moves(at(event)));
        } else if (event.pointerType === "mouse") {
            show(state.moved(moves(at(event))));
        }
    });
    canvas.addEventListener("pointerleave", () => show(state.z));
    canvas.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 1], ArrowDown: [1, -1] }[event.key];
        if (!step) {
            return;
        }
        event.preventDefault();
        const dimension = axes()[step[0]];
        const [low, high] = ends(model.about, dimension);
        const value = state.z[dimension.index] + step[1] * (high - low) / 40;
        state.move([[dimension.index, Math.min(Math.max(value, low), high)]]);
    });
    [across, up].forEach((select) => select.addEventListener("change", refill));
    // A move along the plane leaves what lies behind it as it is.
    state.watch((moved) => {
        const inside = moved && moved.every(([index]) => axes().some((dimension) => dimension.index === index));
        return inside ? paint() : refill();
    });
}

export function explore({ model, examples, state }) {
    const { about } = model;
    const here = document.getElementById("here");
    const show = latest(async (z) => {
        const [mean] = await model.decode([z], state.class);
        examples.show(here, mean);
        here.dataset.shown = Number(here.dataset.shown ?? 0) + 1;
    });
    document.getElementById("measured").textContent = `Dimensions come in the order of their ${about.size}, of ${about.measured}${about.trains ? ", before the page trains" : ""}.`;
    document.getElementById("centre").addEventListener("click", () => state.set(state.start, state.class));
    state.watch(() => show(state.z));
    if (about.classes.length > 0) {
        document.querySelectorAll(".told").forEach((label) => {
            label.hidden = false;
        });
        const as = document.getElementById("as");
        as.append(...about.classes.map((name, at) => element("option", { value: at, textContent: name })));
        as.addEventListener("change", () => state.set(state.z, Number(as.value)));
        state.watch(() => {
            as.value = state.class;
        });
    }
    sliders({ model, state });
    plane({ model, examples, state, show });
}
