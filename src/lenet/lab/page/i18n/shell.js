/** Words of the page's head. */

export default {
  en: {
    title: "LeNet lab",
    skip: "Skip to the view",
    views: "Views",
    "view.explore": "Explore",
    "view.learn": "Learn",
    "view.compare": "Compare",
    "language.other": "show the page in Chinese",
    looking: "Looking only",
    "looking.missing":
      "This address has no token. You can look at everything; to train or delete, open the address "
      + "that lenet lab printed.",
    "looking.old":
      "The lab was started anew. You can look at everything; to train or delete, open the address "
      + "that lenet lab printed now.",
    starting: "The lab is asked for its runs …",
    "connection.lost":
      "The lab does not answer. If you ended it, start it again: lenet lab. This page asks again "
      + "by itself, and goes on where it was.",
    "connection.found": "The lab answers again.",
    "theme.auto": "Auto",
    "theme.light": "Light",
    "theme.dark": "Dark",
    "theme.change": "Colours: {now}; change to: {next}",
  },
  zh: {
    title: "LeNet 实验室",
    skip: "跳到内容",
    views: "页面",
    "view.explore": "探索",
    "view.learn": "学习",
    "view.compare": "比较",
    "language.other": "用英文显示本页",
    looking: "只读",
    "looking.missing":
      "这个地址不含令牌。你可以查看全部内容；要训练或删除，请打开 lenet lab 打印出的地址。",
    "looking.old":
      "实验室已重新启动。你可以查看全部内容；要训练或删除，请打开 lenet lab 这次打印出的地址。",
    starting: "正在向实验室读取训练列表……",
    "connection.lost":
      "实验室没有响应。如果你已将它关闭，请重新启动：lenet lab。本页会自动重试，并从原处继续。",
    "connection.found": "实验室已恢复连接。",
    "theme.auto": "自动",
    "theme.light": "浅色",
    "theme.dark": "深色",
    "theme.change": "配色：{now}；改为：{next}",
  },
};
