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
    "theme.auto": "自动",
    "theme.light": "浅色",
    "theme.dark": "深色",
    "theme.change": "配色：{now}；改为：{next}",
  },
};
