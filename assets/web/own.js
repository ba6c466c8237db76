// The section in which an example is drawn, loaded or typed, encoded and decoded again.

import { element } from "./examples.js";
import { latest } from "./explore.js";

// Pixels along the longer side of what is drawn on.
const SURFACE = 280;

function surface(examples, changed) {
    const [channels, height, width] = examples.shape;
    const scale = SURFACE / Math.max(height, width);
    const canvas = element("canvas", { id: "surface", tabIndex: 0, width: width * scale, height: height * scale });
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", "Draw here. Arrow keys move the pen, with Shift they draw.");
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const ink = element("input", { type: "color", value: "#ffffff" });
    const small = element("canvas", { width, height });
    const read = () => {
        const reduced = small.getContext("2d", { willReadFrequently: true });
        reduced.imageSmoothingQuality = "high";
        reduced.drawImage(canvas, 0, 0, width, height);
        changed(examples.fromImage(reduced.getImageData(0, 0, width, height)));
    };
    const clear = () => {
        context.fillStyle = "#000";
        context.fillRect(0, 0, canvas.width, canvas.height);
    };
    let pen = [canvas.width / 2, canvas.height / 2];
    const go = (place, draws) => {
        if (draws) {
            Object.assign(context, { strokeStyle: ink.value, lineWidth: SURFACE / 12, lineCap: "round", lineJoin: "round" });
            context.beginPath();
            context.moveTo(...pen);
            context.lineTo(...place);
            context.stroke();
            read();
        }
        pen = place;
    };
    const at = ({ offsetX, offsetY }) => {
        return [offsetX / canvas.clientWidth * canvas.width, offsetY / canvas.clientHeight * canvas.height];
    };
    canvas.addEventListener("pointerdown", (event) => {
        canvas.setPointerCapture(event.pointerId);
        pen = at(event);
        go(pen, true);
    });
    canvas.addEventListener("pointermove", (event) => go(at(event), event.buttons > 0));
    canvas.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (step) {
            event.preventDefault();
            go(pen.map((value, axis) => value + step[axis] * scale), event.shiftKey);
        }
    });
    const load = async (file) => {
        const picture = await createImageBitmap(file).catch(() => null);
        if (!picture) {
            changed(null, `${file.name} is no picture that this browser reads`);
            return;
        }
        clear();
        const fits = Math.min(canvas.width / picture.width, canvas.height / picture.height);
        const [w, h] = [picture.width * fits, picture.height * fits];
        context.drawImage(picture, (canvas.width - w) / 2, (canvas.height - h) / 2, w, h);
        read();
    };
    canvas.addEventListener("dragover", (event) => {
        event.preventDefault();
        canvas.classList.add("over");
    });
    canvas.addEventListener("dragleave", () => canvas.classList.remove("over"));
    canvas.addEventListener("drop", (event) => {
        event.preventDefault();
        canvas.classList.remove("over");
        const [file] = event.dataTransfer.files;
        return file && load(file);
    });
    const file = element("input", { type: "file", accept: "image/*", onchange: () => file.files[0] && load(file.files[0]) });
    const button = (textContent, onclick) => element("button", { type: "button", textContent, onclick });
    const invert = button("Invert", () => {
        Object.assign(context, { globalCompositeOperation: "difference", fillStyle: "#fff" });
        context.fillRect(0, 0, canvas.width, canvas.height);
        context.globalCompositeOperation = "source-over";
        read();
    });
    const wipe = button("Clear", () => {
        clear();
        read();
    });
    clear();
    const colour = channels > 1 ? [element("label", {}, "Ink ", ink)] : [];
    const take = (values) => {
        const picture = element("canvas", { width, height });
        picture.getContext("2d").putImageData(examples.image(values), 0, 0);
        context.imageSmoothingEnabled = false;
        context.drawImage(picture, 0, 0, canvas.width, canvas.height);
        context.imageSmoothingEnabled = true;
        read();
    };
    return { parts: [canvas, element("p", { className: "controls" }, wipe, invert, ...colour), element("p", {}, file)], take };
}

function form(examples, changed) {
    const shown = examples.columns.filter(({ places }) => places > 0);
    const fields = new Map(shown.map((column) => {
        const levels = column.levels ?? Array.from({ length: column.categories ?? 0 }, (_, at) => String(at));
        const options = ["", ...levels].map((level) => element("option", { value: level, textContent: level || "missing" }));
        const input = levels.length > 0 ? element("select", {}, ...options) : element("input", { type: "number", step: "any" });
        if (column.kind === "count") {
            Object.assign(input, { min: 0, step: 1 });
        }
        return [column, input];
    }));
    const read = () => changed(examples.fromCells(examples.columns.map((column) => fields.get(column)?.value ?? "")));
    const labels = shown.map((column) => element("label", {}, column.name, fields.get(column)));
    const take = (values) => {
        for (const { column, text } of examples.cells(values)) {
            if (fields.has(column)) {
                fields.get(column).value = column.kind === "count" ? Math.round(Number(text)) : text;
            }
        }
        read();
    };
    return { parts: [element("div", { className: "fields", oninput: read }, ...labels)], take };
}

/** Gives functions: one that takes an example as one's own, one that asks the model of it again. */
export function own({ model, examples, state }) {
    const { about } = model;
    const [given, again, loss, code, take] = ["given", "again", "loss", "code", "from-own"].map((id) => document.getElementById(id));
    let [found, last, label] = [null, null, 0];
    const changed = latest(async (x, wrong) => {
        [last, label] = [x ?? last, state.class];
        loss.classList.toggle("wrong", !x);
        if (!x) {
            loss.textContent = wrong;
            return;
        }
        found = await model.encode(x, state.class);
        const [mean] = await model.decode([found.z], state.class);
        examples.show(again, mean);
        const { distortion, rate } = await model.evaluate(x, state.class);
        const [all, d, r] = [distortion + rate, distortion, rate].map((value) => value.toFixed(2));
        loss.textContent = `−ELBO ${all} nats = distortion ${d} + rate ${r}, a mean over ${about.sizes.draws} draws`;
        loss.dataset.value = distortion + rate;
        const rows = about.dimensions.slice(0, 10).map(({ index }) => {
            const [value, deviation] = [found.z[index], found.deviation[index]].map((number) => number.toFixed(2));
            const meter = element("meter", { min: -3, max: 3, value: found.z[index], title: `z${index} = ${value}` });
            const texts = [`z${index}`, `${value} ± ${deviation}`].map((textContent) => element("td", { textContent }));
            return element("tr", {}, ...texts, element("td", {}, meter));
        });
        code.replaceChildren(element("table", {}, ...rows));
        take.disabled = false;
    });
    const { parts, take: put } = examples.arePictures ? surface(examples, changed) : form(examples, changed);
    given.append(...parts);
    const told = about.classes.length > 0 ? " It is encoded and decoded as the class of the example above." : "";
    document.getElementById("own-hint").textContent = examples.arePictures
        ? `Draw with the pointer, choose a file, or drop a picture.${told}`
        : `Type a row, and leave empty what is missing.${told}`;
    take.addEventListener("click", () => state.set(found.z, state.class));
    state.watch(() => last && label !== state.class && changed(last));
    return { put, again: () => last && changed(last) };
}
