"""The explanations in Chinese: the same functions as english.py, in the same order."""

from __future__ import annotations

from lenet.looking.explanations.facts import Facts, LayerFacts
from lenet.network.layers import (
    GELU,
    RBF,
    SATURATED_SHARE,
    Activation,
    AvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Pooling,
    ReLU,
    ScaledTanh,
    Sigmoid,
    SiLU,
    Subsample,
    Tanh,
    Windowed,
    connection_count,
    curve,
    padding_of,
    show_shape,
    stride_of,
)

LABELS = {"does": "做什么", "why": "为什么", "run": "本次训练"}


def introduction(facts: Facts) -> str:
    """What goes in, what comes out, and how to read the rest."""
    network = facts.network
    return (
        f"{network.name} 的输入是一张 {show_shape(network.input_shape)} 的图片（通道 × 行 × 列），"
        f"输出是 {len(network.classes)} 个类别各一个数。下面按顺序说明它的 {len(facts.layers)} 层，"
        f"一共有 {facts.parameters:,} 个参数；层前面的编号就是参数名里的编号。"
    )


def closing(facts: Facts, comparison: str) -> str:
    """Where the parameters are."""
    if not facts.parameters:
        return "所有的层都没有参数。"
    text = f"{facts.parameters:,} 个参数中，{facts.dense_share:.0%} 在全连接层里。"
    if 0.5 < facts.dense_share < 1:
        text += (
            "LeNet 那个年代的网络大多如此，这也是后来的网络很少用、甚至不用全连接层的一个原因："
            "卷积核的权重在图片的每个位置都用得上，全连接层的每个权重只用于一个位置。"
        )
    return text + comparison


def does(facts: LayerFacts) -> str:
    """What the layer computes."""
    layer, row = facts.layer, facts.row
    out = show_shape(row.output_shape)
    match layer:
        case Conv2d():
            flat = f"{layer.kernel_size}×{layer.kernel_size}"
            size = f"{layer.in_channels}×{flat}" if layer.connections is None else flat
            many = f"前面的 {layer.in_channels} 张特征图"
            before = many if layer.in_channels > 1 else "前面的特征图"
            where = "图片" if row.index == 0 else before
            if layer.connections is not None and layer.in_channels > 1:
                where += "中的几张"
            return (
                f"用 {layer.out_channels} 个 {size} 的卷积核在{where}上滑动。在每个位置，"
                "卷积核把盖住的数与自己的权重逐个相乘再相加，最后加上偏置，得到一张特征图上的一个数。"
                f"每个卷积核产生一张自己的特征图：{out}。"
            )
        case AvgPool2d() | MaxPool2d():
            size = f"{layer.kernel_size}×{layer.kernel_size}"
            how = "平均值" if isinstance(layer, AvgPool2d) else "最大值"
            return f"每张特征图各自处理：每个 {size} 窗口只留下{how}，得到 {out}。"
        case Subsample():
            return (
                f"把每个 {layer.kernel_size}×{layer.kernel_size} 窗口里的数相加，乘以一个权重，"
                f"再加一个偏置；每张特征图有自己的一对：得到 {out}。"
            )
        case Sigmoid():
            return "把每个数压缩到 0 到 1 之间：1 / (1 + exp(−x))。"
        case Tanh():
            return "把每个数压缩到 −1 到 1 之间：tanh(x)。"
        case ScaledTanh():
            return (
                f"把每个数压缩到 −{layer.amplitude:g} 到 {layer.amplitude:g} 之间："
                f"{layer.amplitude:g} · tanh({layer.slope:.3g} · x)。"
            )
        case ReLU():
            return "正数原样通过，其余变成零：max(0, x)。"
        case LeakyReLU():
            return f"正数原样通过，其余乘以 {layer.negative_slope:g}：{curve(layer).formula}。"
        case GELU():
            return (
                "把每个数乘以 Φ(x)，即标准正态分布中小于它的比例：x · Φ(x)。大的数原样通过，"
                "远小于零的数几乎变成零。"
            )
        case SiLU():
            return (
                "把每个数乘以它自己的 sigmoid：x / (1 + exp(−x))。大的数原样通过，"
                "远小于零的数几乎变成零。"
            )
        case Dropout():
            return (
                f"训练时以概率 {layer.p:g} 把每个数置零，其余的除以 {1 - layer.p:g}，"
                "使平均值不变。训练以外什么也不做。"
            )
        case Flatten():
            return (
                f"把 {show_shape(row.input_shape)} 个数按通道、按行排成一个长 "
                f"{row.output_shape[0]:,} 的向量。它不做任何计算。"
            )
        case Linear():
            return (
                f"{layer.out_features:,} 个输出中的每一个，都是全部 {layer.in_features:,} 个输入"
                "各乘一个自己的权重之和，再加一个偏置。"
            )
        case RBF():
            return (
                f"每个输出是这 {layer.in_features} 个数到该类别固定编码的距离平方的相反数；"
                "编码是一张小小的字符图。"
            )


def why(facts: LayerFacts) -> str:
    """What the layer is good for, in full where its kind comes first."""
    layer, row = facts.layer, facts.row
    match layer:
        case Conv2d():
            return _why_convolution(facts, layer)
        case _ if isinstance(layer, Pooling) and facts.again:
            fewer = "数更少了，" if facts.kept < 1 else ""
            return f"再做一次：{fewer}小的平移也更不要紧了。"
        case AvgPool2d() | Subsample():
            return (
                "模糊加压缩。图案平移一个像素时，平均值的变化比特征图本身小，所以网络对小平移较不敏感，"
                f"但并非毫无变化{_saved(facts)}。"
            )
        case MaxPool2d():
            return (
                "它只问窗口里有没有某个图案，不问在哪里，所以网络对小平移较不敏感。"
                f"但图案一移动，常常就进了另一个窗口，结果仍会变化{_saved(facts)}。"
            )
        case _ if isinstance(layer, Activation) and facts.again:
            return (
                f"对这 {show_shape(row.output_shape)} 个数再做一次非线性变换："
                "两个线性层之间若没有它，合起来仍只是一个线性层。"
            )
        case Sigmoid():
            return (
                "引入非线性：线性层无论叠多少层，合起来也只相当于一个线性层。代价是：它的斜率"
                "最大只有 1/4，在接近 0 和 1 的饱和区几乎为零。图片之间的差别每过一层就缩小一些，"
                "梯度往回传时也一样（梯度消失），所以即使没有一个单元饱和，训练起步也很慢；"
                "今天的网络大多改用 ReLU。"
            )
        case Tanh() | ScaledTanh():
            return (
                "引入非线性：线性层无论叠多少层，合起来也只相当于一个线性层。它的输出分布在零的两侧，"
                "有利于下一层学习；和 sigmoid 一样会饱和，饱和处的梯度会消失。"
            )
        case ReLU():
            return (
                "引入非线性：线性层无论叠多少层，合起来也只相当于一个线性层。只要输入为正，"
                "斜率就是 1，它本身不会让梯度变小（权重仍然可能），计算也简单。"
                "若一个单元对所有图片都输出零，它就不再学习了。"
            )
        case LeakyReLU():
            return (
                "引入非线性：线性层无论叠多少层，合起来也只相当于一个线性层。输入为正时，它和 ReLU "
                f"一样让梯度原样通过；输入为负时，仍有 {layer.negative_slope:.3g} 倍的梯度通过，"
                "所以一个单元即使对所有图片都是负的，也还能学到一点东西。"
            )
        case GELU():
            return (
                "引入非线性：线性层无论叠多少层，合起来也只相当于一个线性层。它像没有拐角的 ReLU："
                "斜率逐渐变化，略小于零的数也还能学习。大多数 Transformer 都用它。"
            )
        case SiLU():
            return (
                "引入非线性：线性层无论叠多少层，合起来也只相当于一个线性层。它和 GELU 一样，"
                "像没有拐角的 ReLU，只需算一次指数：斜率逐渐变化，略小于零的数也还能学习。"
                "它又叫 swish。"
            )
        case Dropout() if facts.again:
            return "同样是为了减轻过拟合。"
        case Dropout():
            return "任何单元都不能只依赖另一个单元：学到的东西分散在许多单元里，过拟合因此减轻。"
        case Flatten():
            return "从特征图到全连接层的桥梁。从这里起，位置和通道都只是向量里的序号。"
        case Linear():
            return _why_dense(facts, layer)
        case RBF():
            return (
                "编码离得最近的类别输出最大。形状相近的字符编码也相近；"
                "离所有编码都很远的图片可以拒识。"
            )


def _why_convolution(facts: LayerFacts, layer: Conv2d) -> str:
    if layer.kernel_size == 1:
        return f"1×1 的卷积核每次只看一个位置：它把那里的 {layer.in_channels} 个通道混合起来。"
    if facts.again:
        text = (
            "组合：把前面特征图里的边缘和笔画组合成拐角、弧线和形状的局部。"
            "一个输出看到的图片范围更大了。"
        )
        if layer.out_channels > layer.in_channels:
            text += (
                "组合的种类比单个笔画多，所以通道数从 "
                f"{layer.in_channels} 增加到 {layer.out_channels}。"
            )
    else:
        text = (
            "每个卷积核在整张图片上寻找一种小图案，比如某个方向的边缘或笔画。它们的初始值是不同的随机数，"
            "反向传播给每个卷积核的梯度也就不同，于是自然地分了工。同一图案出现在哪个角落都一样有用，"
            f"所以所有位置共用权重：只要 {facts.row.parameters:,} 个参数，"
            f"换成全连接层则要 {facts.dense_parameters:,} 个。"
        )
    if facts.covers_its_input and not layer.padding:
        text += "卷积核与输入的特征图一样大：这里它其实就是全连接层。"
    if layer.connections is not None:
        pairs = layer.in_channels * layer.out_channels
        text += (
            f"{pairs} 对特征图中只有 {connection_count(layer)} 对相连：权重更少，"
            "而且看到的输入不同，各张图被迫学到不同特征。"
        )
    return text


def _why_dense(facts: LayerFacts, layer: Linear) -> str:
    parts = []
    if facts.first_dense and facts.sees == "regions":
        parts.append(
            "到这里为止，每个数只说明图片的一个区域；现在不论来自哪里，全部放在一起权衡。"
            "分类的决定从这里开始。"
        )
    elif facts.first_dense and facts.sees == "pixels":
        parts.append("每个像素对每个输出都有自己的权重：在一个位置学到的东西，换个位置就用不上了。")
    elif not facts.last_dense:
        kind = "更少、更抽象的" if layer.out_features < layer.in_features else "新的"
        parts.append(f"把上一层的组合再组合成{kind}特征。")
    if facts.last_dense:
        parts.append(
            "每个类别一个数，即 logits：未归一化的分数。它们可以是负数，加起来也不等于一；"
            "最大的那个就是答案。softmax 把它们变成概率；损失函数（交叉熵）自己会做这一步，"
            "所以网络里没有这一层。"
        )
    return "".join(parts)


def numbers(facts: LayerFacts) -> list[str]:
    """Sizes, parameters and receptive field, as formulas with their results."""
    row, layer = facts.row, facts.layer
    lines = []
    if row.size_formula:
        lines.append(f"尺寸：{row.size_formula}")
    if isinstance(layer, Windowed) and padding_of(layer):
        what = "负无穷" if isinstance(layer, MaxPool2d) else "零"
        kept = "，使特征图大小不变" if row.input_shape[1:] == row.output_shape[1:] else ""
        lines.append(f"填充：每边各 {padding_of(layer)} 行（列）{what}{kept}")
    if isinstance(layer, Conv2d) and stride_of(layer) > 1:
        lines.append(f"步幅：卷积核每次移动 {stride_of(layer)} 个像素")
    if row.parameters:
        lines.append(f"参数：{row.parameter_formula} = {row.parameters:,}，{_percent(facts.share)}")
    elif row.size_formula:
        lines.append("参数：无")
    if row.size_formula:
        rows, columns = facts.field
        whole = "，即整张图片" if facts.sees_all else ""
        lines.append(f"感受野：图片上的 {rows}×{columns} 个像素{whole}")
    return lines


def run(facts: LayerFacts) -> str:
    """What training made of the layer; empty where nothing was measured."""
    measured = facts.measured
    if measured.weights is not None:
        low, high = measured.weights
        return f"权重在 {_signed(low)} 到 {_signed(high)} 之间。"
    if measured.idle is None:
        return ""
    of = f"在 {measured.pictures} 张测试图片上，"
    zero = isinstance(facts.layer, ReLU)
    idle = "为零" if zero else f"处于饱和区（斜率不到最大斜率的 {SATURATED_SHARE:.0%}）"
    text = f"{of}{measured.idle:.0%} 的输出{idle}"
    if measured.dead is None:
        return f"{text}。"
    units = show_shape(facts.row.output_shape)
    they = "对这些图片全部输出零" if zero else "对这些图片全都如此"
    return f"{text}；{units} 个单元中有 {measured.dead:,} 个{they}。"


def _saved(facts: LayerFacts) -> str:
    if facts.kept >= 1:
        return ""
    share = {0.25: "四分之一", 0.5: "一半"}.get(facts.kept, f" {facts.kept:.0%}")
    return f"；留下的数是原来的{share}，后面的层计算量也就小了"


def _percent(share: float) -> str:
    return f"占全部的 {share:.1%}" if share >= 0.0005 else "不到全部的 0.1%"


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
