/** What bells put before the page's title. It is the page's: of several bells the first that counts is told. */

/** @type {Map<Element, string>} */
const prefixes = new Map();
let inTitle = '';
/** @type {MutationObserver | undefined} */
let observer; // of a page that changes its title by itself

/** Others may put theirs before ours, as another copy of this script does: to quarrel over who is first would not end. */
const prefixed = () => /^(\(.*?\)\s?)*/.exec(document.title)?.[0].includes(inTitle);

const drawTitle = () => {
  const { title } = document;
  const bare = title.startsWith(inTitle) ? title.slice(inTitle.length).trim() : title;
  [inTitle = ''] = prefixes.values();
  const now = inTitle ? `${inTitle} ${bare}` : bare;
  if (title !== now) document.title = now;
};

/** The page's title, with that of a bell before it in place of what was. @param {Element} bell @param {string} prefix */
export const entitle = (bell, prefix) => {
  if (prefix) prefixes.set(bell, prefix);
  else prefixes.delete(bell);
  observer ??= new MutationObserver(() => prefixed() || drawTitle());
  if (prefixes.size) observer.observe(document.head, { subtree: true, childList: true });
  else observer.disconnect();
  drawTitle();
};
