"""Sentences in Chinese: the lab's errors for the page; for the terminal too, what a training says.

Whatever LeNet says it says in English; here each sentence has its Chinese beside it. ``{}`` stands
for a part that changes: a name, a number, or a sentence that is looked up in turn. A sentence that
is not here stays in English.
"""

# ruff: noqa: E501 (a sentence a line, its Chinese beside it)

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

LONGEST: Final = 2_000  # of a sentence: it may be a stranger's
DEEPEST: Final = 6  # sentences inside each other
# Between Chinese and Chinese there is no space: a part may be either.
_NO_SPACE: Final = re.compile(r"(?<=[\u3000-\u9fff\uff00-\uffef]) (?=[\u3000-\u9fff\uff00-\uffef])")

# What the lab itself says. The Chinese takes the parts in their order, or by number: {1} is the
# second. Of two that match, the first counts.
LAB: Final = (
    ("there is no such file", "没有这个文件"),
    ("there is nothing at this address", "这个地址什么也没有"),
    ("this cannot be done here", "这里不能这样做"),
    ("this cannot be", "这样不行"),
    ("a number is too large: {}", "有一个数太大：{}"),
    ("this takes more memory than there is here", "所需内存超过本机所有"),
    ("this is nested too deeply", "嵌套过深"),
    ("the lab made a mistake; the terminal that runs it says what", "实验室程序出错；运行它的终端里有说明"),
    ("the request came too slowly", "请求到得太慢"),
    ("another page asks for this; only the lab's own page may", "这个请求来自别的网页；只有实验室自己的页面可以"),
    ("the token is missing; open the address that lenet lab printed, with #token=…", "缺少令牌；请打开 lenet lab 打印出的地址，其中含 #token=…"),
    ("the token is of an earlier start; open the address that lenet lab printed now", "令牌属于之前的启动；请打开 lenet lab 这次打印出的地址"),
    ("shape {}: each size is from 1 to 4096", "形状 {}：每个尺寸须在 1 到 4096 之间"),
    ("shape {}: write channels x height x width, such as 1x28x28", "形状 {}：请写成 通道x高x宽，例如 1x28x28"),
    ("{} pictures; at most {} are given at once", "{} 张图片；一次最多给 {} 张"),
    ("indices {}: write numbers with commas, such as 1,5,9", "编号 {}：请写用逗号隔开的数，例如 1,5,9"),
    ("{} has not begun yet; it has no weights", "{} 还没有开始，还没有权重"),
    ("there is no data set called {}", "没有名为 {} 的数据集"),
    ("no data set is called {} here", "这里没有名为 {} 的数据集"),
    ("there are pictures 0 to {}, not {} to {}", "图片编号为 0 到 {}，没有 {} 到 {}"),
    ("{} is not here: lenet data get {} fetches it", "本机没有 {}：运行 lenet data get {} 可以下载"),
    ("{} is there already; it cannot be restored over it", "{} 已经存在，不能恢复到它上面"),
    ("{} is there already", "{} 已经存在"),
    ("nothing called {} was deleted in the last {} days", "最近 {1} 天没有删除过名为 {0} 的训练"),
    ("the name {} cannot be a folder's: write letters, digits, spaces, and . _ - between them, {} at most", "名称 {} 不能用作文件夹名：请用字母、数字，中间可有空格和 . _ -，最多 {} 个字符"),
    ("there is a run called {} already, here or in the trash", "已经有名为 {} 的训练，在这里或在回收站里"),
    ("another lenet lab serves {}: use its page, or give another folder by --runs", "另一个 lenet lab 正在使用 {}：请用它的页面，或用 --runs 指定别的文件夹"),
    ("another program has a file of {} open; close it there, then try again", "另一个程序打开了 {} 中的文件；请先在那里关闭，再试一次"),
    ("{} parameters are more than the lab shows ({}); lenet train trains larger ones", "{} 个参数超过了实验室能显示的数量（{}）；更大的网络可用 lenet train 训练"),
    ("a batch of {} pictures would have {} activations, more than {}; take a smaller batch or fewer channels", "一批 {} 张图片会有 {} 个激活值，超过 {}；请用更小的批量或更少的通道"),
    ("there is no run called {}", "没有名为 {} 的训练"),
    ("the weights of {} have not grown beyond what numbers hold", "{} 的权重并没有超出数的范围"),
    ("{} is {}; there is nothing to pause", "{} 的状态是 {}，没有可暂停的"),
    ("{} is finished; start a new training with more epochs", "{} 已经完成；请用更多轮数开始新的训练"),
    ("{} is training already", "{} 已经在训练"),
    ("{} is training; stop it first, and wait a moment", "{} 正在训练；请先停止，稍等片刻"),
    ("{} is training; pause it first, or wait until it has finished", "{} 正在训练；请先暂停，或等它完成"),
    ("another program trains {}; end it where it was started", "另一个程序正在训练 {}；请在启动它的地方结束它"),
    ("another program trains it; the lab can watch it, not pause it", "另一个程序正在训练它；实验室只能观看，不能暂停"),
    ("its process was killed; it goes on from its last checkpoint", "它的进程被强行结束；可从最近的检查点继续"),
    ("writing its checkpoint", "正在写检查点"),
    ("{} before it", "前面还有 {} 个"),
    ("its process was ended by signal {}", "它的进程被信号 {} 结束"),
    ("its process ended with code {}", "它的进程以代码 {} 结束"),
    ("the training cannot be started: {}", "训练无法启动：{}"),
    ("{} has more classes than network {}", "{} 的类别比网络 {} 多"),
    ("no data set here has pictures and classes as {} needs them", "这里没有与 {} 的图片大小和类别相符的数据集"),
    ("{} is no model; write run:NAME, run:NAME@STEP", "{} 不是模型；请写 run:名称 或 run:名称@步数"),
    ("this file is not open any more; open it again", "这个文件已不在内存中，请重新打开"),
    ("the network ends with {} outputs; 2 to 256 classes are shown", "这个网络有 {} 个输出；可显示 2 到 256 类"),
    ("{} has no snapshot after {} steps any more", "{} 在第 {} 步的快照已经没有了"),
    ("{} is not here, or not for network {}", "{} 不在本机，或不适用于网络 {}"),
    ("{} cannot be shown: {}, a mistake of this program", "{} 无法显示：{}，这是本程序的错误"),
    ("{}, a mistake of this program", "{}，这是本程序的错误"),
    ("Fashion-MNIST, a sixth", "Fashion-MNIST（六分之一）"),
)  # fmt: skip

FILES: Final = (
    ("{} is empty", "{} 是空文件"),
    ("{}: give a .safetensors file, or a state dict that torch.save wrote", "{}：请给 .safetensors 文件，或 torch.save 保存的状态字典"),
    ("{} is an HDF5 file, as Keras writes them", "{} 是 Keras 写的 HDF5 文件"),
    ("{} is a parameter file of MXNet", "{} 是 MXNet 的参数文件"),
    ("{} is an array of NumPy", "{} 是 NumPy 数组"),
    ("{} is compressed with gzip", "{} 是 gzip 压缩文件"),
    ("{} is a page or a drawing", "{} 是网页或矢量图"),
    ("{} is no file of weights that LeNet reads", "{} 不是 LeNet 能读的权重文件"),
    ("its tensors fit {}: say which network it is", "它的张量符合 {}：请说明是哪个网络"),
    ("its tensors fit none of the known networks; describe the network as a list of layers", "它的张量不符合任何已知网络；请逐层写出这个网络"),
    ("PyTorch took too long to read it", "PyTorch 读它用的时间太长"),
    ("the network in the file: {}", "文件中的网络：{}"),
    ("{} is neither a weight nor a bias; network {} has nothing else", "{} 既不是权重也不是偏置；网络 {} 没有别的参数"),
    ("two layers of network {} have the same shape, and the file's names do not say which is which: name them as in an nn.Sequential, 0.weight, 0.bias …", "网络 {} 有两层形状相同，而文件中的名称分不清哪个是哪个：请按 nn.Sequential 命名，如 0.weight、0.bias"),
    ("the file is not of network {}: it has layers of {}, and the network needs {}", "这个文件不属于网络 {}：它的各层为 {}，而网络需要 {}"),
    ("it unpacks to more than {} bytes", "解压后超过 {} 字节"),
    ("this zip archive is not from torch.save: give the file inside it", "这个 zip 文件不是 torch.save 保存的：请给出其中的文件"),
    ("it holds a {}, not a state dict", "它里面是 {}，不是状态字典"),
    ("it is not a state dict: its names must be texts, its values tensors; save it again with torch.save(model.state_dict(), …)", "它不是状态字典：名称须为文本，值须为张量；请用 torch.save(model.state_dict(), …) 重新保存"),
    ("it has {} tensors, more than {}", "它有 {} 个张量，超过 {}"),
    ("its tensors have more than {} bytes", "它的张量超过 {} 字节"),
    ("this file is not from torch.save, or it is from PyTorch 1.5 or older, or cut off: save it again with torch.save(model.state_dict(), …)", "这个文件不是 torch.save 保存的，或来自 PyTorch 1.5 以前，或不完整：请用 torch.save(model.state_dict(), …) 重新保存"),
    ("a .pt file needs PyTorch to be read: save safetensors, or install it by {}", "读 .pt 文件需要 PyTorch：请另存为 safetensors，或这样安装：{}"),
    ("{}, and only tensors are read: save it again with torch.save(model.state_dict(), …)", "{}，而这里只读张量：请用 torch.save(model.state_dict(), …) 重新保存"),
    ("it holds an object of the class {}", "它含有类 {} 的对象"),
    ("it is damaged", "它已损坏"),
    ("{} is no plain tensor", "{} 不是普通张量"),
    ("names as in an nn.Sequential", "名称与 nn.Sequential 相同"),
    ("names matched in the file's order: {}", "按文件中的顺序对应名称：{}"),
    ("names matched by shapes, of which every layer has its own: {}", "各层形状不同，按形状对应名称：{}"),
    ("{} was turned into float32", "{} 已转换为 float32"),
    ("recognises {} of the test pictures of {}", "认出 {1} 测试图片的 {0}"),
    ("{} cannot be read: {}; put back a copy of it, or move the folder elsewhere", "无法读取 {}：{}；请放回一份副本，或把文件夹移到别处"),
    ("it is not JSON from line {}, column {} on", "从第 {} 行第 {} 列起不是 JSON"),
    ("byte {} is no UTF-8 text", "第 {} 个字节不是 UTF-8 文本"),
    ("{} is not a run: it {}. 'lenet runs' lists your runs", "{} 不是训练：{}。lenet runs 会列出你的训练"),
    ("{} has no weights yet: go on with {}", "{} 还没有权重：请用 {} 继续"),
    ("{} is not in {}. `lenet data get {}` downloads it; or {}", "{0} 不在 {1}。运行 lenet data get {2} 可以下载"),
    ("No space left on device", "磁盘已满"),
    ("Permission denied", "没有权限"),
)  # fmt: skip

PREDICTING: Final = (
    ("this network never says \"none of these\": its training held out {} pictures, and that takes {} ('lenet train --val' holds out more)", "这个网络从不说“都不是”：训练时留出了 {} 张图片，而这需要 {} 张（lenet train --val 可以多留一些）"),
    ("not predicted: {} of {} pictures", "{1} 张图片中有 {0} 张没有识别"),
)  # fmt: skip

NETWORKS: Final = (
    ("line {}: {}", "第 {} 行：{}"),
    ("layer {} ({}) expects {}, but its input has shape {}", "第 {} 层（{}）需要 {}，但它的输入形状是 {}"),
    ("a vector of {}", "长度为 {} 的向量"),
    ("network {} ends with shape {}, but has {} classes; end it with {}", "网络 {} 的输出形状是 {}，但有 {} 个类别；请以 {} 结尾"),
    ("there are no layers; write one on each line, such as Linear(784, 10)", "还没有层；请每行写一层，例如 Linear(784, 10)"),
    ("the text has {} characters; at most {} fit", "文本有 {} 个字符；最多 {} 个"),
    ("it has {} characters; at most {} fit in a line", "这一行有 {} 个字符；最多 {} 个"),
    ("more than {} layers", "超过 {} 层"),
    ("{} cannot be read; write a layer, such as Linear(784, 10)", "读不懂 {}；请写一层，例如 Linear(784, 10)"),
    ("{} is not a layer; did you mean {}? choose from {}", "{} 不是层；是想写 {} 吗？可选 {}"),
    ("{} is not a layer; choose from {}", "{} 不是层；可选 {}"),
    ("{} lacks its parentheses: write {}", "{} 缺少括号：请写 {}"),
    ("{} takes at most {} numbers without a name: {}", "{} 最多接受 {} 个不带名称的数：{}"),
    ("{} lacks {}: write {}", "{} 缺少 {}：请写 {}"),
    ("{} has no {}; did you mean {}? write {}", "{} 没有 {}；是想写 {} 吗？请写 {}"),
    ("{} has no {}; write {}", "{} 没有 {}；请写 {}"),
    ("{}: {} is given twice", "{}：{} 写了两次"),
    ("layer {} ({}): {}", "第 {} 层（{}）：{}"),
    ("unknown network {}; did you mean {}? choose from {}", "没有网络 {}；是想写 {} 吗？可选 {}"),
    ("unknown network {}; choose from {}", "没有网络 {}；可选 {}"),
    ("unknown recipe {}; did you mean {}? choose from {}", "没有配方 {}；是想写 {} 吗？可选 {}"),
    ("unknown recipe {}; choose from {}", "没有配方 {}；可选 {}"),
    ("unknown key {}; did you mean {}? choose from {}", "没有设置 {}；是想写 {} 吗？可选 {}"),
    ("unknown key {}; choose from {}", "没有设置 {}；可选 {}"),
    ("{} is {}, must be a whole number of at most {}", "{} 是 {}，须为不超过 {} 的整数"),
    ("{} is {}, must be a whole number", "{} 是 {}，须为整数"),
    ("{} is {}, must be a number", "{} 是 {}，须为数"),
    ("{} is {}, must be one of {}", "{} 是 {}，须为 {} 之一"),
    ("{} is {}, must be at least {} and at most {}", "{} 是 {}，须至少为 {}、至多为 {}"),
    ("{} is {}, must be at least {} and below {}", "{} 是 {}，须至少为 {} 且小于 {}"),
    ("{} is {}, must be at least {}", "{} 是 {}，须至少为 {}"),
    ("{} is {}, must be {}", "{} 是 {}，须为 {}"),
    ("{} is {}, too large for a number", "{} 是 {}，超出了数的范围"),
    ("optimizer.nesterov needs optimizer.momentum above 0, such as 0.9", "optimizer.nesterov 需要大于 0 的 optimizer.momentum，例如 0.9"),
)  # fmt: skip

TRAINING: Final = (
    ("the loss of step {} is {}: the weights grew beyond what numbers hold. Try a smaller learning rate than {}", "第 {} 步的损失是 {}：权重超出了数的范围。请试比 {} 更小的学习率"),
    ("after epoch {} the loss on {} is {}. Try a smaller learning rate", "第 {} 轮之后，{} 上的损失是 {}。请试更小的学习率"),
    ("about this run", "关于这次训练"),
    ("Seen: {}. Why: {}. Try: {}.", "现象：{}。原因：{}。建议：{}。"),
    ("{}; or {}", "{}；或{}"),
    ("this run ended before its network learnt anything: its loss of {} and its accuracy of {} are those of a guess ({}, {})", "训练结束时网络还什么都没有学到：损失 {} 和准确率 {} 与猜测相同（{}，{}）"),
    ("this run ended worse than it began: its loss on its own training pictures is {} (accuracy {}), that of a guess {}; {}", "训练结束时比开始时更差：在自己的训练图片上损失为 {}（准确率 {}），猜测的损失为 {}；{}"),
    ("this run ended worse than it began: its loss on its own training pictures is {} (accuracy {}), that of a guess {}", "训练结束时比开始时更差：在自己的训练图片上损失为 {}（准确率 {}），猜测的损失为 {}"),
    ("Sigmoid networks need about {} such steps to start, and this run did {}", "Sigmoid 网络大约要 {} 个这样的步才开始学习，而这次训练做了 {}"),
    ("a network needs {} steps and more, and this run did {}", "网络需要 {} 步或更多，而这次训练做了 {}"),
    ("--epochs {}, or ReLU in place of Sigmoid, which starts at once (the recipe quickstart)", "--epochs {}，或用 ReLU 代替 Sigmoid，它立刻就能开始（配方 quickstart）"),
    ("{}; some need several times as many", "{}；有的需要数倍于此"),
    ("{} ({} an epoch)", "{} 步（每轮 {} 步）"),
    ("the loss has stayed at {}, and the outputs hardly depend on the picture: they differ by {} from one to the next", "损失停在 {}；输出几乎不随图片变化：不同图片之间只差 {}"),
    ("the loss has stayed at {}; {}", "损失停在 {}；{}"),
    ("the loss has stayed at {}", "损失停在 {}"),
    ("{} ≈ {} for {} epochs", "{} ≈ {}，已有 {} 轮"),
    ("{} ≈ {} for {} steps", "{} ≈ {}，已有 {} 步"),
    ("{}, above {} ({}), for {} epochs", "{}，高于 {}（{}），已有 {} 轮"),
    ("{}, above {} ({}), for {} steps", "{}，高于 {}（{}），已有 {} 步"),
    ("a guess by class frequency", "按类别频率猜测的结果"),
    ("the steps are too small: {} of them moved the weights of most layers by {}", "步子太小：{} 步使多数层的权重只改变了 {}"),
    ("{} of their size or less (a tenth would take {} epochs)", "自身大小的 {} 或更少（改变十分之一要 {} 轮）"),
    ("a learning rate of {} in place of {}", "把学习率从 {1} 改为 {0}"),
    ("a tenth of the learning rate ({})", "十分之一的学习率（{}）"),
    ("the steps are too large: {}", "步子太大：{}"),
    ("one changes the weights of {} by {} of their size", "一步就使 {} 的权重改变自身大小的 {}"),
    ("such maps pass no gradient; {}", "这样的特征图不传递梯度；{}"),
    ("such maps pass no gradient", "这样的特征图不传递梯度"),
    ("such units pass no gradient; {}", "这样的单元不传递梯度；{}"),
    ("such units pass no gradient", "这样的单元不传递梯度"),
    ("a flat {} passes little gradient; {}", "平坦的 {} 只传递很少的梯度；{}"),
    ("a flat {} passes little gradient", "平坦的 {} 只传递很少的梯度"),
    ("no gradient reaches layer {} through a flat {}; {}", "梯度通不过平坦的 {1}，到不了第 {0} 层；{2}"),
    ("no gradient reaches layer {} through a flat {}", "梯度通不过平坦的 {1}，到不了第 {0} 层"),
    ("{} steps of {} moved the weights of {} by {} times their first size", "{} 步 {} 使 {} 的权重移动了初始大小的 {} 倍"),
    ("the first weights of {} were {} times as large as Xavier's", "{} 的初始权重是 Xavier 的 {} 倍"),
    ("{} steps moved the weights of {} by only {} of their size", "{} 步只使 {} 的权重改变了自身大小的 {}"),
    ("{}. It can also end by itself: the steps of {} do not shrink with the gradient", "{}。也可能会自行结束：{} 的步子不随梯度变小"),
    ("{}, as in {}", "{}，{}也是如此"),
    ("{} of the {} outputs of {} are saturated (slope under {} of its peak)", "{2} 的 {1} 输出有 {0} 已饱和（斜率不到最陡处的 {3}）"),
    ("{} of the {} maps of {} are {} for every picture", "{2} 的 {1} 特征图有 {0} 对每张图片都是{3}"),
    ("{} of the {} units of {} are {} for every picture", "{2} 的 {1} 单元有 {0} 对每张图片都是{3}"),
    ("a slow start: nothing is saturated, but from layer {} to layer {} the differences between pictures shrink from {} to {}, and no gradient reaches layer {}", "起步慢：没有饱和，但从第 {} 层到第 {} 层，图片之间的差别从 {} 缩小到 {}，梯度到不了第 {} 层"),
    ("a slow start: nothing is saturated, but from layer {} to layer {} the differences between pictures shrink from {} to {}", "起步慢：没有饱和，但从第 {} 层到第 {} 层，图片之间的差别从 {} 缩小到 {}"),
    ("a slow start: nothing is saturated", "起步慢：没有饱和"),
    ("some more epochs (it often ends by itself)", "再训练几轮，它往往会自行结束"),
    ("initialization xavier (the first weights had {} of its size)", "initialization xavier（现在的初始权重只有它的 {}）"),
    ("a learning rate of {} or larger batches", "学习率 {}，或更大的批量"),
    ("a learning rate of {}", "学习率 {}"),
    ("AdamW at {}", "AdamW，学习率 {}"),
    ("Tanh or ReLU in place of Sigmoid", "用 Tanh 或 ReLU 代替 Sigmoid"),
    ("other first weights ({})", "别的初始权重（{}）"),
    ("smaller first weights (initialization xavier)", "更小的初始权重（initialization xavier）"),
    ("initialization he, biases near 0", "initialization he，偏置接近 0"),
    ("batches of {} in place of {}: there are only {} training pictures (batch_size is yours to set)", "批量用 {} 代替 {}：只有 {} 张训练图片（batch_size 可自行设置）"),
    ("{} epochs in place of {}: with {} training pictures it takes so many to make {} steps (epochs is yours to set)", "用 {} 轮代替 {} 轮：{} 张训练图片要这么多轮才有 {} 步（epochs 可自行设置）"),
)  # fmt: skip

# Parts of sentences; what stands in them is short, or they would be found in other sentences.
SHORT: Final = 16
PHRASES: Final = (
    ("layers {} and {}", "第 {}、{} 层"),
    ("{} other layers", "另外 {} 层"),
    ("layer {} ({})", "第 {} 层（{}）"),
    ("layer {}", "第 {} 层"),
    ("nothing", "零"),
    ("flat", "平坦的"),
    ("over {}%", "{}% 以上"),
)

RECIPES: Final = (
    ("The tutorials' LeNet on Fashion-MNIST", "教程的 LeNet，数据为 Fashion-MNIST"),
    ("Tutorial 002's hint: the same LeNet with Adam at 0.001", "教程 002 的提示：同一个 LeNet，用 Adam，学习率 0.001"),
    ("Tutorial 002's class: no padding, max pooling", "教程 002 的类：不填充，最大汇聚"),
    ("Tutorial 003's LeNet on MNIST with AdamW", "教程 003 的 LeNet，数据为 MNIST，用 AdamW"),
    ("A network of today at LeNet's size, on Fashion-MNIST", "与 LeNet 同样大小的今天的网络，数据为 Fashion-MNIST"),
    ("A network of today at LeNet's size, on MNIST with warped digits", "与 LeNet 同样大小的今天的网络，数据为 MNIST，数字经过变形"),
    ("MNIST with fewer than 20,000 parameters, warped digits", "参数少于 20,000 个，数据为 MNIST，数字经过变形"),
    ("LeNet with ReLU and Adam on the pictures that come with the program", "带 ReLU 和 Adam 的 LeNet，用程序自带的图片"),
    ("LeNet-5 on MNIST with the codes and the loss of 1998, and an optimiser of today", "LeNet-5，数据为 MNIST，编码和损失用 1998 年的，优化器用今天的"),
    ("LeNet-5 as the recipe lenet5 has it, on digits that are moved anew each epoch", "与配方 lenet5 相同的 LeNet-5，每轮都把数字重新平移"),
    ("LeCun et al. 1998, section III.B", "LeCun 等 1998，III.B 节"),
    ("LeCun et al. 1998, section III.B, with distortions", "LeCun 等 1998，III.B 节，带变形"),
    ("The tutorials' accuracy on Fashion-MNIST in the least time", "用最短时间达到教程在 Fashion-MNIST 上的准确率"),
    ("{} on Fashion-MNIST in the least time", "用最短时间在 Fashion-MNIST 上达到 {}"),
    ("{} on MNIST in the least time", "用最短时间在 MNIST 上达到 {}"),
    ("tutorial {}", "教程 {}"),
)  # fmt: skip


@lru_cache(maxsize=2_048)
def in_chinese(sentence: str) -> str | None:
    """The sentence in Chinese; None where there is none.

    >>> in_chinese("there is no run called 'x'")
    "没有名为 'x' 的训练"
    """
    found = _translated(sentence, DEEPEST) if len(sentence) <= LONGEST else None
    return None if found is None else _NO_SPACE.sub("", found)


def listed_in_chinese(sentences: str) -> str | None:
    """Sentences with "; " between them, in Chinese; None unless all are known."""
    found = [in_chinese(sentence) for sentence in sentences.split("; ")]
    return "；".join(filter(None, found)) if all(found) else None


def _translated(sentence: str, depth: int) -> str | None:
    for english, chinese, longest in _TEMPLATES:
        parts = parts_of(sentence, english)
        if parts is not None and max(map(len, parts), default=0) <= longest:
            if depth > 1:
                parts = [_translated(part, depth - 1) or part for part in parts]
            return chinese.format(*parts)
    return None


def spoken(text: str, table: Sequence[tuple[str, str]], depth: int = DEEPEST) -> str:
    """The text in Chinese by a table such as those above; the text itself where it has none."""
    if depth == 0 or len(text) > LONGEST:
        return text
    for english, chinese in table:
        parts = parts_of(text, english.split("{}"))
        if parts is not None:
            return chinese.format(*(spoken(part, table, depth - 1) for part in parts))
    return text


def parts_of(sentence: str, literals: Sequence[str]) -> list[str] | None:
    """What stands between these texts, where the sentence is made of them; each as short as can be.

    It uses no regular expression: with so many parts, a stranger's sentence could keep one busy
    for ever.
    """
    first, *others = literals
    if not sentence.startswith(first):
        return None
    found, at = [], len(first)
    for number, literal in enumerate(others):
        last = number == len(others) - 1
        if last:
            end = len(sentence) - len(literal)
            if not sentence.endswith(literal):
                return None
        else:
            end = sentence.find(literal, at + 1)
        if end <= at:
            return None
        found.append(sentence[at:end])
        at = end + len(literal)
    return found if at == len(sentence) else None


_TEMPLATES: Final = tuple(
    (tuple(english.split("{}")), chinese, longest)
    for table, longest in (
        ((*LAB, *FILES, *TRAINING, *PREDICTING, *NETWORKS, *RECIPES), LONGEST),
        (PHRASES, SHORT),
    )
    for english, chinese in table
)
