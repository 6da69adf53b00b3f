/** The look of a run report: light and dark by the reader's setting, one column on a phone. */
export const reportStyle = `
:root { color-scheme: light dark; --page: #f6f6f4; --card: #fff; --ink: #1d1f23; --muted: #666b75; --rule: #e3e3de;
  --accent: #2f6fde; --coarse: #7b2d8e; --fine: #e8963a; --bad: #c62f2f; }
@media (prefers-color-scheme: dark) { :root { --page: #15171b; --card: #1e2127; --ink: #e7e8ea; --muted: #9aa0ab;
  --rule: #33373f; --accent: #6ea3ff; --coarse: #c17ad6; --fine: #ffc069; --bad: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 20px 16px 40px; }
h1 { font-size: 1.5rem; margin: 0 0 12px; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 32px 0 4px; padding-top: 14px; border-top: 1px solid var(--rule); overflow-wrap: anywhere; }
h3 { font-size: .95rem; margin: 22px 0 8px; color: var(--muted); font-weight: 600; }
.tiles { display: flex; flex-wrap: wrap; gap: 8px 28px; margin: 0; }
.tiles dt { color: var(--muted); font-size: .8rem; }
.tiles dd { margin: 0; font-size: 1.25rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.switch { border: 0; padding: 0; margin: 16px 0 0; font-size: .85rem; color: var(--muted); }
.switch legend { float: left; margin-right: 10px; }
.switch label { margin-right: 10px; cursor: pointer; }
.switch input { vertical-align: -1px; accent-color: var(--accent); }
.log { display: none; }
:root:has(#log:checked) .log { display: block; }
:root:has(#log:checked) .linear { display: none; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); gap: 12px; }
figure { margin: 0; background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 10px 12px 6px; min-width: 0; }
figcaption { display: flex; justify-content: space-between; gap: 12px; font-size: .9rem; overflow-wrap: anywhere; }
figcaption b { font-variant-numeric: tabular-nums; }
svg { display: block; width: 100%; height: auto; margin-top: 6px; }
svg text { font: 11px system-ui, sans-serif; fill: var(--muted); font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--rule); }
svg .axis { stroke: var(--muted); stroke-opacity: .5; }
svg .gap { stroke: var(--bad); stroke-width: 1.5; }
svg g path { fill: none; stroke-linejoin: round; stroke-linecap: round; }
svg .raw path { stroke-width: 1; opacity: .32; }
svg .line path { stroke-width: 1.8; }
svg .line .dots { stroke-width: 5; }
.note, .empty, footer { color: var(--muted); font-size: .8rem; margin: 2px 0 4px; min-height: 1.2em; }
.bad { color: var(--bad); }
.legend { display: inline-flex; align-items: center; gap: 2px; }
.legend i { width: 9px; height: 9px; border-radius: 2px; }
.legend i:first-of-type { margin-left: 4px; }
.legend i:last-of-type { margin-right: 4px; }
.samples { display: flex; flex-wrap: wrap; gap: 12px; }
.samples figure { flex: 0 1 auto; padding: 8px; }
.samples img { display: block; width: 288px; max-width: 100%; image-rendering: pixelated; border-radius: 4px; margin-bottom: 6px; }
.samples figcaption { color: var(--muted); font-size: .8rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; background: var(--card); border: 1px solid var(--rule); font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px; text-align: left; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { font-weight: 500; color: var(--muted); }
.pairs th { white-space: nowrap; }
.pairs td { overflow-wrap: anywhere; }
.codebook th, .codebook td { text-align: right; white-space: nowrap; }
.codebook .bar { width: 160px; min-width: 60px; }
.codebook .bar span { display: block; height: 10px; margin-top: 5px; border-radius: 2px; background: var(--accent); }
footer { margin-top: 32px; }
@media (max-width: 480px) {
  .pairs th { white-space: normal; overflow-wrap: anywhere; }
  th, td { padding: 4px 8px; }
  .codebook th:nth-child(5), .codebook td:nth-child(5) { display: none; }
  .samples figure { flex: 1 1 100%; }
  .samples img { width: 100%; }
  svg text { font-size: 13px; }
}
`.trim();
