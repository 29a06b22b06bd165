/** Words of Explore's Nudge. */

export default {
  en: {
    "lens.nudge": "Nudge",
    "nudge.title": "The picture nudged towards another class",
    "nudge.to": "Towards",
    "nudge.how": "How",
    "nudge.steps.1": "in one step",
    "nudge.steps.10": "in ten small steps",
    "nudge.size": "No pixel moves by more than",
    "nudge.of": "{size} of 255",
    "nudge.find": "Smallest that does it",
    "nudge.away": "Take it away",
    "nudge.gone": "The picture is as it was.",
    "nudge.hint": "Move the slider, and watch the maps above and the verdict.",
    "nudge.random": "Moved as far at random: {says}.",
    "nudge.found": "It takes {size} of 255 to make this {name}.",
    "nudge.none": "Up to {most} of 255, it does not become {name} in this way.",
    "nudge.already": "It is {name} already.",
    "nudge.before": "Picture",
    "nudge.difference": "Nudge",
    "nudge.after": "Nudged",
    "nudge.moved": "±{size} · {moved} of {of} pixels",
    "nudge.can":
      "What it shows: a change that you hardly see can change the verdict, if each pixel moves the "
      + "way in which the class gains on its strongest rival. The gradient says which way (fast "
      + "gradient sign method). One step asks it once; ten small steps ask it anew at each.",
    "nudge.cannot":
      "What it cannot say: how often this happens by chance (compare the change at random), or "
      + "that a network is safe because this one way fails. It is made for this network; another "
      + "may see nothing in it.",
  },
  zh: {
    "lens.nudge": "扰动",
    "nudge.title": "把图片推向另一个类别",
    "nudge.to": "推向",
    "nudge.how": "方式",
    "nudge.steps.1": "一步",
    "nudge.steps.10": "十小步",
    "nudge.size": "每个像素的改变不超过",
    "nudge.of": "{size}（满值 255）",
    "nudge.find": "最小要多少",
    "nudge.away": "去掉扰动",
    "nudge.gone": "图片恢复原样。",
    "nudge.hint": "拖动滑块，看上面的特征图和判断怎样变化。",
    "nudge.random": "同样幅度的随机改变：{says}。",
    "nudge.found": "改变 {size}（满值 255）就会被判断为 {name}。",
    "nudge.none": "改变到 {most}（满值 255），这样做也不会被判断为 {name}。",
    "nudge.already": "它已经被判断为 {name}。",
    "nudge.before": "原图",
    "nudge.difference": "扰动",
    "nudge.after": "扰动后",
    "nudge.moved": "±{size} · {of} 个像素中的 {moved} 个",
    "nudge.can":
      "能说明：若每个像素都朝着让这个类别超过最强对手的方向移动，一点几乎看不见的改变就能改变判断。"
      + "方向由梯度给出（快速梯度符号法）。一步只问一次梯度；十小步每步都重新问。",
    "nudge.cannot":
      "不能说明：这种事偶然发生的机会有多大（请与随机改变比较）；也不能因为这一种方法失败就说网络是安全的。"
      + "它是针对这个网络做的，对别的网络可能毫无作用。",
  },
};
