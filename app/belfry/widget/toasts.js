/** New ones, for a moment, above all else of the page. @import * as T from './elements.js' */
import { gist, hide, make, tool } from './dom.js';
import { face } from './item.js';

const SHOWN_MS = 6000;
const MOST_TOASTS = 3;

/** @type {T.CreateToasts} */
export const createToasts = (select) => {
  const element = make('div', { part: 'toasts', popover: 'manual' }); // what comes is said by the bell

  /** @type {(toast: HTMLElement) => void} */
  const drop = (toast) => {
    toast.remove();
    if (!element.childElementCount) hide(element);
  };

  /** It goes by itself, but not while somebody is reading it. @type {(toast: HTMLElement) => void} */
  const expire = (toast) => {
    setTimeout(() => {
      if (toast.isConnected) toast.matches(':hover, :focus-within') ? expire(toast) : drop(toast);
    }, SHOWN_MS);
  };

  return {
    element,
    clear() {
      element.replaceChildren();
      hide(element);
    },
    show(item, words) {
      const [title, body] = gist(item);
      const open = make('button', { type: 'button', part: 'title', dir: 'auto', onclick() {
        drop(toast);
        select(item);
      } }, title);
      const toast = make('div', { part: `toast ${item.severity}` }, face(item),
        make('div', { part: 'text' }, open, ...(body ? [make('p', { part: 'body', dir: 'auto' }, body)] : [])),
        tool('close', words.close, () => drop(toast)));
      element.append(toast);
      while (element.childElementCount > MOST_TOASTS) element.firstElementChild?.remove();
      element.showPopover();
      expire(toast);
    },
  };
};
