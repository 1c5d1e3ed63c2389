// @ts-check
/** What the form is filled with, one kind of product moment each. */

const ADA = { id: "ada", name: "Ada Lindgren" };
const SECONDS = 10;

/** @type {{label: string, audience?: string, topic?: string, kind: string, severity?: string, title: string,
 *   body?: string, action_url?: string, delayed?: number, extra?: Record<string, unknown>}[]} */
export const EXAMPLES = [
  {
    label: "Comment",
    kind: "comment.created",
    title: "Ada Lindgren commented on “Launch plan”",
    body: "Looks good to me. Shall we ship it on Thursday?",
    action_url: "https://example.com/docs/launch-plan",
    extra: { actor: ADA },
  },
  {
    label: "Failed deploy",
    kind: "deploy.failed",
    severity: "error",
    title: "Deploy to production failed",
    body: "The health check did not answer within 30 s. The previous version keeps serving.",
    extra: {
      actions: [
        { name: "logs", label: "View logs", url: "https://example.com/deploys/97" },
        { name: "retry", label: "Retry" },
      ],
    },
  },
  {
    label: "Review",
    kind: "review.requested",
    title: "Jonas Weber asks for your review",
    body: "Hold gaps by their owner, not by their age (#318)",
    action_url: "https://example.com/pulls/318",
    extra: { actor: { id: "jonas", name: "Jonas Weber" }, tags: ["review"] },
  },
  {
    label: "Likes, grouped",
    kind: "post.liked",
    title: "Mei Tanaka likes your post",
    extra: { actor: { id: "mei", name: "Mei Tanaka" }, group_key: "post-7" },
  },
  {
    label: `In ${SECONDS} seconds`,
    kind: "reminder.due",
    severity: "warning",
    title: "Stand-up begins",
    body: "Scheduled: it has an id of the moment at which it is due.",
    delayed: SECONDS,
  },
  {
    label: "To a team",
    audience: "topic",
    topic: "team:7",
    kind: "build.finished",
    severity: "success",
    title: "Build 418 passed",
    body: "412 tests in 48 s on main.",
  },
  {
    label: "To everyone",
    audience: "everyone",
    kind: "product.news",
    title: "Dark mode is here",
    body: "One row in the database, however many people get it.",
  },
];
