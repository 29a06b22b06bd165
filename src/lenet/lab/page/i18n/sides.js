/** Words of Explore's Nudge and Map. */

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
    "lens.map": "Map",
    "plane.title": "A map of pictures",
    "plane.role": "map of points",
    "plane.progress": "Pictures computed",
    "plane.legend": "Classes: choose one, and it stands out",
    "plane.wrong": "misread",
    "plane.about":
      "{count} pictures, each a point where its {numbers} numbers of {layer} put it, drawn in the "
      + "two directions in which they differ most (principal components: {one} and {two} of the "
      + "variance). The cross is the picture that is shown; draw, cover or nudge it, and it moves.",
    "plane.limits":
      "Two numbers cannot say all of them: points that lie together here may be far apart. The "
      + "neighbours are those in all numbers.",
    "plane.unknown":
      "The true classes of these pictures are not known for this network: each has the class that "
      + "the network says.",
    "plane.keys": "Arrow keys go from point to point; Enter shows its picture.",
    "plane.near": "Nearest in all {numbers} numbers",
    "plane.point": "Picture {number}: {is}",
    "plane.point.wrong": "Picture {number}: {is}, mistaken for {said}",
    "plane.nothing": "There is no data set here whose pictures this network takes.",
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
    "lens.map": "分布",
    "plane.title": "图片分布图",
    "plane.role": "点图",
    "plane.progress": "已计算的图片",
    "plane.legend": "类别：选择一个，突出显示",
    "plane.wrong": "判断错误",
    "plane.about":
      "{count} 张图片，每张是一个点，由它在 {layer} 的 {numbers} 个数决定，画在差别最大的两个方向上"
      + "（主成分：占方差的 {one} 和 {two}）。十字是正在显示的图片；画它、遮它或扰动它，它就会移动。",
    "plane.limits":
      "两个数说不尽所有的数：这里挨在一起的点可能相距很远。右边的近邻是按所有的数算的。",
    "plane.unknown": "这些图片对这个网络来说没有已知的真实类别：每个点的类别是网络的判断。",
    "plane.keys": "方向键从一个点走到另一个点；回车显示它的图片。",
    "plane.near": "按全部 {numbers} 个数最近的",
    "plane.point": "图片 {number}：{is}",
    "plane.point.wrong": "图片 {number}：{is}，被误认为 {said}",
    "plane.nothing": "这里没有适合这个网络的数据集。",
  },
};
