// Examples in the units of the model, and what people see of them: pictures, or rows of a table.

/** An element with properties and children. */
export function element(name, properties = {}, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
}

// Height and width of what came as an array of categories.
function extentsOf(array) {
    return [1, array.slice(0, -1).reduce((product, extent) => product * extent, 1), array[array.length - 1]];
}

export class Examples {
    constructor(about) {
        const { encoding, shape, width } = about;
        const first = encoding?.columns[0];
        this.width = width;
        this.categories = encoding?.array ? first.categories : 0;
        this.shape = this.categories > 0 ? extentsOf(encoding.array) : shape;
        this.arePictures = this.shape[1] > 1;
        this.range = encoding?.range ?? [0, 1];
        const plain = () => Array.from({ length: width }, (_, at) => ({ name: `x_${at}`, kind: "numeric", shift: 0, scale: 1 }));
        this.columns = encoding?.columns ?? (this.arePictures ? [] : plain());
        let place = 0;
        for (const column of this.columns) {
            column.place = place;
            column.places = { category: column.levels?.length, numbered: column.categories, text: 0 }[column.kind] ?? 1;
            place += column.places;
        }
    }

    /** The numbers of a picture from 0 (black) to 1 (white), one plane after the other. */
    levels(values) {
        const [low, high] = this.range;
        if (this.categories > 0) {
            return this.columns.map((column) => this.#likeliest(column, values) / (this.categories - 1));
        }
        if (this.columns.length === 0) {
            return values;
        }
        return Float32Array.from(values, (value, at) => {
            const { shift = 0, scale = 1 } = this.columns[at];
            return (value * scale + shift - low) / (high > low ? high - low : 1);
        });
    }

    /** The example of such numbers. */
    fromLevels(levels) {
        const [low, high] = this.range;
        const x = new Float32Array(this.width);
        levels.forEach((level, at) => {
            const column = this.columns[at];
            if (this.categories > 0) {
                x[column.place + Math.round(level * (this.categories - 1))] = 1;
            } else {
                x[at] = column ? (low + level * (high - low) - (column.shift ?? 0)) / (column.scale ?? 1) : level;
            }
        });
        return x;
    }

    #likeliest({ place, places }, values) {
        let best = place;
        for (let at = place; at < place + places; at += 1) {
            best = values[at] > values[best] ? at : best;
        }
        return best - place;
    }

    /** A picture as the browser has them. */
    image(values) {
        const [channels, height, width] = this.shape;
        const [image, levels, plane] = [new ImageData(width, height), this.levels(values), height * width];
        for (let at = 0; at < plane; at += 1) {
            for (let colour = 0; colour < 3; colour += 1) {
                const channel = channels === 1 ? 0 : colour;
                image.data[4 * at + colour] = channel < channels ? 255 * levels[channel * plane + at] : 0;
            }
            image.data[4 * at + 3] = 255;
        }
        return image;
    }

    /** The example of a picture of the right size. */
    fromImage({ data }) {
        const [channels, height, width] = this.shape;
        const plane = height * width;
        return this.fromLevels(Float32Array.from({ length: channels * plane }, (_, at) => {
            const [pixel, channel] = [4 * (at % plane), Math.floor(at / plane)];
            const grey = (0.299 * data[pixel] + 0.587 * data[pixel + 1] + 0.114 * data[pixel + 2]) / 255;
            return channels === 1 ? grey : (data[pixel + Math.min(channel, 2)] ?? 0) / 255;
        }));
    }

    /** The cells of a row as text, and how sure a level is. */
    cells(values) {
        return this.columns.map((column) => {
            const { kind, place, places, levels, shift = 0, scale = 1 } = column;
            const value = values[place];
            if (places === 0 || Number.isNaN(value)) {
                return { column, text: "" };
            }
            if (kind === "category" || kind === "numbered") {
                const best = this.#likeliest(column, values);
                return { column, text: levels?.[best] ?? String(best), share: values[place + best] };
            }
            if (kind === "binary") {
                return { column, text: levels[value >= 0.5 ? 1 : 0], share: Math.max(value, 1 - value) };
            }
            return { column, text: String(Number((value * scale + shift).toPrecision(4))) };
        });
    }

    /** The example of cells as text; an empty one is missing. */
    fromCells(texts) {
        const x = new Float32Array(this.width);
        this.columns.forEach(({ kind, place, places, levels, shift = 0, scale = 1 }, at) => {
            const text = texts[at];
            if (text === "") {
                x.fill(NaN, place, place + places);
            } else if (kind === "category" || kind === "numbered") {
                x[place + (levels ? levels.indexOf(text) : Number(text))] = 1;
            } else {
                x[place] = kind === "binary" ? levels.indexOf(text) : (Number(text) - shift) / scale;
            }
        });
        return x;
    }

    /** An example to look at. */
    show(place, values) {
        if (!this.arePictures) {
            const rows = this.cells(values).filter(({ column }) => column.places > 0).map(({ column, text, share }) => {
                const sure = share === undefined ? "" : `${Math.round(100 * share)} %`;
                return element("tr", {}, ...[column.name, text, sure].map((cell) => element("td", { textContent: cell })));
            });
            place.replaceChildren(element("div", { className: "scroll" }, element("table", {}, ...rows)));
            return;
        }
        const [, height, width] = this.shape;
        let canvas = place.querySelector("canvas");
        if (!canvas) {
            canvas = element("canvas", { width, height });
            place.replaceChildren(canvas);
        }
        canvas.getContext("2d").putImageData(this.image(values), 0, 0);
    }

    /** Several rows below each other; `take` is called with the number of one that is chosen. */
    table(all, take) {
        const shown = this.columns.filter(({ places }) => places > 0);
        const head = element("tr", {}, element("th"), ...shown.map(({ name }) => element("th", { textContent: name })));
        const rows = all.map((values, at) => {
            const button = element("button", { type: "button", textContent: String(at + 1), onclick: () => take(at) });
            const cells = this.cells(values).filter(({ column }) => column.places > 0);
            return element("tr", {}, element("td", {}, button), ...cells.map(({ text }) => element("td", { textContent: text })));
        });
        return element("div", { className: "scroll" }, element("table", {}, head, ...rows));
    }

    /** Puts pictures into a grid of so many columns. */
    tiles(canvas, all, columns) {
        const [, height, width] = this.shape;
        Object.assign(canvas, { width: columns * width, height: Math.ceil(all.length / columns) * height });
        const context = canvas.getContext("2d");
        all.forEach((values, at) => {
            context.putImageData(this.image(values), at % columns * width, Math.floor(at / columns) * height);
        });
    }
}
