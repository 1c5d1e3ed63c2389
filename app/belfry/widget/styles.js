/** How the elements look. A constructed sheet needs no inline style, whatever a page's policy says. */
const CSS = `
:host {
  --_accent: var(--belfry-accent, light-dark(#4f46e5, #a5b4fc));
  --_background: var(--belfry-background, light-dark(#fff, #19191d));
  --_text: var(--belfry-text, light-dark(#18181b, #f4f4f5));
  --_muted: var(--belfry-muted, light-dark(#5b6069, #a5a5b0));
  --_border: var(--belfry-border, light-dark(#e6e6ea, #2e2e34));
  --_hover: var(--belfry-hover, light-dark(#f5f5f7, #232328));

  --_unread: var(--belfry-unread, var(--_accent));
  --_danger: light-dark(#c4232d, #f98b8b);
  --_radius: var(--belfry-radius, 12px);
  display: block; color: var(--_text); text-align: start;
  font: 14px/1.45 var(--belfry-font, ui-sans-serif, system-ui, "Segoe UI", Roboto, sans-serif);
}
:host([theme=light]) { color-scheme: light }
:host([theme=dark]) { color-scheme: dark }
:host([theme=auto]) { color-scheme: light dark }
:host(belfry-bell) { display: inline-block }
:host([hidden]), [hidden] { display: none !important }
* { box-sizing: border-box; margin: 0 }
[dir=auto] { text-align: left }
:dir(rtl) > [dir=auto] { text-align: right }
button, input, a { font: inherit; color: inherit }
button { appearance: none; border: 0; padding: 0; background: none; text-align: inherit; cursor: pointer }
:focus-visible, [part~=item] [part=title]:focus-visible::after { outline: 2px solid var(--_accent); outline-offset: 2px }
[part~=item] [part=title]:focus-visible { outline: 0 }
svg { width: 18px; fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round; display: block }
[part~=hidden] { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }

[part=bell] { position: relative; display: grid; place-items: center; width: 36px; height: 36px; border-radius: 50%; color: var(--_text) }
[part=bell]:hover { background: var(--_hover) }
[part=bell] svg { width: 21px }
[part=badge] {
  position: absolute; top: 0; inset-inline-start: 18px; min-width: 18px; padding: 0 5px; border-radius: 9px;
  background: var(--belfry-badge, #d4232e); color: #fff; font-weight: 600; font-size: 11px; line-height: 18px; text-align: center;
  box-shadow: 0 0 0 2px var(--_background); font-variant-numeric: tabular-nums;
}
[popover] { position: fixed; inset: auto; border: 0; padding: 0; color: inherit; background: none; overflow: visible }
[part=popover], [part=menu], [part~=toast] {
  background: var(--_background); border: 1px solid var(--_border); border-radius: var(--_radius);
  box-shadow: 0 1px 2px #0000000f, 0 12px 32px -4px light-dark(#0f0f1e2e, #000a);
}
[part=popover] { width: var(--belfry-width, 400px); max-width: calc(100vw - 16px); overflow: hidden; outline: 0 }
[part=popover]:popover-open { animation: appear .14s ease-out }

[part=inbox] {
  position: relative; display: flex; flex-direction: column; width: 100%; height: var(--belfry-height, 560px); max-height: var(--belfry-max-height, var(--_room, calc(100vh - 80px)));
  background: var(--_background); border-radius: inherit; overflow: hidden;
}
[part=header] { display: flex; align-items: center; padding-block: 12px 4px; padding-inline: 16px 10px; gap: 2px }
[part=heading] { font-size: 15px; font-weight: 600 }
[part=header] > [part=tools] { margin-inline-start: auto }
[part~=tool], ::slotted([part~=tool]) { display: grid; place-items: center; width: 28px; height: 28px; border-radius: 7px; color: var(--_muted) }
[part~=tool]:hover, [aria-expanded=true] { background: light-dark(#0000000f, #ffffff17); color: var(--_text) }
[part=tabs] { display: flex; gap: 4px; padding: 4px 12px 1px; box-shadow: inset 0 -1px var(--_border); overflow-x: auto; scrollbar-width: none; flex: none }
[part=tab] { padding: 6px 8px 8px; color: var(--_muted); white-space: nowrap; border-bottom: 2px solid transparent; font-weight: 500; font-size: 13px }
[part=tab]:focus-visible, [part~=tool]:focus-visible, [part~=item] [part=title]:focus-visible::after { outline-offset: -2px; border-radius: 6px }
[part=tab]:hover { color: var(--_text) }
[part=tab][aria-selected=true] { color: var(--_text); border-color: var(--_accent) }
[part=tab][data-count]::after {
  content: attr(data-count); content: attr(data-count) / ""; margin-inline-start: 6px; padding: 1px 6px; border-radius: 8px; background: var(--_hover); font-size: 11px; font-variant-numeric: tabular-nums;
}
[part=notice]:not(:empty) { padding: 7px 16px; background: light-dark(#fff6e0, #37290f); color: light-dark(#7a4b00, #f5c878); font-size: 13px }
[part=list], [part=preferences] { flex: 1; overflow: auto; overscroll-behavior: contain; position: relative }
[part=pill] {
  position: relative; z-index: 2; flex: none; align-self: center; height: 30px; margin-block: 8px -38px; padding: 0 14px; border-radius: 16px;
  background: var(--_accent); color: light-dark(#fff, #111); font-weight: 600; font-size: 13px; box-shadow: 0 4px 14px #0003; animation: appear .14s ease-out;
}
ul { list-style: none; padding: 0 }
ul:focus { outline: 0 }
li { content-visibility: auto; contain-intrinsic-size: auto 92px }
[part=day] { padding: 14px 16px 4px; color: var(--_muted); font-size: 12px; font-weight: 600 }
[part~=item] { position: relative; display: flex; gap: 12px; padding-block: 11px; padding-inline: 22px 16px }
[part~=item]:hover, [part~=item]:focus-within { background: var(--_hover) }
[part~=unread]::before { content: ""; position: absolute; inset-inline-start: 8px; top: 23px; width: 7px; height: 7px; border-radius: 50%; background: var(--_unread) }
[part~=avatar] {
  --_hue: var(--hue, 0); flex: none; display: grid; place-items: center; width: 32px; height: 32px; border-radius: 50%; overflow: hidden; font-size: 12px; font-weight: 600;
  background: light-dark(oklch(.94 var(--_chroma, .05) var(--_hue)), oklch(.34 var(--_chroma, .06) var(--_hue)));
  color: light-dark(oklch(.42 var(--_chroma, .1) var(--_hue)), oklch(.88 var(--_chroma, .08) var(--_hue)));
}
[part~=info] { --_chroma: 0 }
[part~=avatar][style] { --_chroma: initial }
[part~=success] { --hue: 150 }
[part~=warning] { --hue: 75 }
[part~=error] { --hue: 25 }
[part~=avatar] img { width: 100%; height: 100%; object-fit: cover }
[part=text] { flex: 1; min-width: 0; display: grid; grid-template-columns: minmax(0, 1fr); align-content: start; overflow-wrap: anywhere }
[part=title], [part=body] { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; text-decoration: none; font-weight: 500; unicode-bidi: isolate; cursor: pointer }
[part~=unread] [part=title], [part~=toast] [part=title] { font-weight: 600 }
[part~=item] [part=title]::after { content: ""; position: absolute; inset: 0 }
[part=body] { font-weight: 400; color: var(--_muted); cursor: inherit }
[part=meta] { display: flex; flex-wrap: wrap; column-gap: 8px; margin-top: 2px; color: var(--_muted); font-size: 12px }
[part=behind] { font-weight: 600 }
[part=actions] { grid-row: 4; display: flex; flex-wrap: wrap; gap: 8px; margin-top: 8px }
[part~=action] { position: relative; padding: 4px 11px; border: 1px solid var(--_border); border-radius: 7px; background: var(--_background); font-weight: 500; font-size: 13px; text-decoration: none; max-width: 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
[part~=action]:hover { border-color: var(--_muted) }
[part~=danger] { color: var(--_danger) }
[part~=primary] { background: var(--_accent); border-color: transparent; color: light-dark(#fff, #111) }
[part~=danger][part~=primary] { background: var(--_danger) }
[part=tools] { display: flex; gap: 2px }
[part=meta], [part=text] > [part=tools] { grid-area: 3 / 1 }
[part=text] > [part=tools] { position: relative; justify-self: end; align-self: end; margin-block: -6px -5px; margin-inline-end: -6px; background: var(--_hover); visibility: hidden }
[part~=item]:is(:hover, :focus-within) [part=tools] { visibility: visible }
[part=menu] { padding: 5px; min-width: 170px }
[part=choice] { display: block; width: 100%; padding: 7px 10px; border-radius: 7px }
[part=choice]:is(:hover, :focus-visible) { background: var(--_hover); outline: 0 }
[part=empty], [part=error] { display: grid; justify-items: center; gap: 12px; padding: 88px 24px; color: var(--_muted); text-align: center }
[part=empty] svg, [part=error] svg { box-sizing: content-box; width: 28px; padding: 16px; border-radius: 50%; background: var(--_hover) }
[part=error] [part=action] { color: var(--_text) }
[part=ghost] {
  --_bar: linear-gradient(var(--_border) 0 0) no-repeat; height: 40px; margin: 19px 22px; animation: breathe 1.4s ease-in-out infinite;
  background: var(--_bar) 44px 4px / 55% 9px, var(--_bar) 44px 22px / 75% 9px, radial-gradient(circle 16px at 16px, var(--_border) 97%, #0000);
}
[part=ghost]:dir(rtl) { scale: -1 1 }
[part=end] { height: 500px; margin-top: -500px; pointer-events: none; position: relative; z-index: -1 }
[part=preference] { display: flex; align-items: center; gap: 12px; padding: 11px 16px; cursor: pointer }
[part=preference] span { flex: 1; overflow-wrap: anywhere }
[part=preference] small { color: var(--_muted) }
[part=preference]:hover { background: var(--_hover) }
input { appearance: none; width: 34px; height: 20px; border-radius: 10px; background: light-dark(#8b8b95, #5c5c66); position: relative; flex: none; cursor: inherit }
input::before { content: ""; position: absolute; inset-block: 2px; inset-inline-start: 2px; width: 16px; border-radius: 50%; background: #fff; transition: translate .14s }
input:checked { background: var(--_accent) }
input:checked::before { translate: 14px }
input:checked:dir(rtl)::before { translate: -14px }
input:disabled { opacity: .5 }
[part=toasts]:popover-open { inset-block: auto 16px; inset-inline: auto 16px; display: grid; gap: 10px; width: min(360px, 100vw - 32px) }
[part~=toast] { display: flex; gap: 12px; padding: 12px 14px; animation: appear .2s ease-out }
::slotted([slot=close]) { display: none }
@keyframes appear { from { opacity: 0; translate: 0 -6px } }
@keyframes breathe { 50% { opacity: .45 } }
@media (max-width: 480px) {
  [part=popover] { inset: 0 !important; width: 100vw; max-width: none; border: 0; border-radius: 0 }
  [part=popover] belfry-inbox { --belfry-height: 100dvh; --belfry-max-height: none }
}
@media (hover: none) {
  [part=text] > [part=tools] { visibility: visible; background: none }
  [part=meta] { padding-inline-end: 88px }
}
@media (prefers-reduced-motion: reduce) { *, ::before { animation: none !important; transition: none !important } }
@media (forced-colors: active) {
  [part~=unread]::before, [part=badge], input:checked { background: Highlight; forced-color-adjust: none }
  input { border: 1px solid ButtonText }
  input::before { background: ButtonText; forced-color-adjust: none; inset-block: 1px }
  input:checked::before { background: HighlightText }
  [part=tab] { border-color: Canvas }
  [part=tab][aria-selected=true] { border-color: Highlight }
}
`;
/** @type {CSSStyleSheet | undefined} */
let worn;

/** One for all elements of a page. */
export const sheet = () => {
  if (!worn) {
    worn = new CSSStyleSheet();
    worn.replaceSync(CSS);
  }
  return worn;
};
