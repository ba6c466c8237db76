// The model card, which is a little Markdown: headings, lists, tables, code, and paragraphs.

import { element } from "./examples.js";

// Text in which what stands between backticks is code.
function inline(text) {
    return text.split("`").map((part, at) => (at % 2 === 1 ? element("code", { textContent: part }) : part));
}

function table(lines) {
    const rows = lines.map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
    const body = rows.filter((cells) => !cells.every((cell) => /^-+$/.test(cell)));
    const made = body.map((cells, at) => {
        return element("tr", {}, ...cells.map((cell) => element(at === 0 ? "th" : "td", {}, ...inline(cell))));
    });
    return element("div", { className: "scroll" }, element("table", {}, ...made));
}

function block(text) {
    const lines = text.split("\n");
    if (text.startsWith("#")) {
        return element("h3", {}, ...inline(text.replace(/^#+ /, "")));
    }
    if (text.startsWith("|")) {
        return table(lines);
    }
    if (text.startsWith("- ")) {
        const items = text.slice(2).split("\n- ");
        return element("ul", {}, ...items.map((item) => element("li", {}, ...inline(item))));
    }
    return element("p", {}, ...inline(text));
}

/** The elements of a card. */
export function card(text) {
    return text.split("```").flatMap((part, at) => {
        if (at % 2 === 1) {
            return [element("pre", { tabIndex: 0, textContent: part.replace(/^\w*\n/, "").trimEnd() })];
        }
        return part.split(/\n\n+/).map((piece) => piece.trim()).filter(Boolean).map(block);
    });
}
