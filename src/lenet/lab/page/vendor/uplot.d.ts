/** For the type checker alone: nothing is said of what uPlot takes. */
declare const uPlot: any;
export default uPlot;
