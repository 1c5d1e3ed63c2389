// @ts-check
/** What the form is filled with. */

export const EXAMPLES = [
  {
    kind: "comment.created",
    severity: "info",
    title: "New comment on “Launch plan”",
    body: "Looks good to me. Shall we ship it on Thursday?",
    action_url: "https://example.com/docs/launch-plan",
  },
  {
    kind: "build.finished",
    severity: "success",
    title: "Build 418 passed",
    body: "412 tests in 48 s on main.",
    action_url: "https://example.com/builds/418",
  },
  {
    kind: "invoice.due",
    severity: "warning",
    title: "An invoice is due tomorrow",
    body: "€ 240 for June. The card on file ends in 4242.",
    action_url: "https://example.com/billing",
  },
  {
    kind: "deploy.failed",
    severity: "error",
    title: "Deploy to production failed",
    body: "The health check didn't answer within 30 s.\nThe previous version keeps serving.",
    action_url: "https://example.com/deploys/97",
  },
];
