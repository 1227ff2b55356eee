// A component that is drawn again only when what it shows is another.
import { Component, createElement } from 'preact'
import type { ComponentType, FunctionComponent } from 'preact'

export function memo<P extends object>(inner: FunctionComponent<P>): ComponentType<P> {
  return class extends Component<P> {
    override shouldComponentUpdate(next: P) {
      const [before, after] = [this.props as Record<string, unknown>, next as Record<string, unknown>]
      return Object.keys(after).some((key) => key !== 'onSelect' && before[key] !== after[key])
    }
    render() {
      return createElement(inner as FunctionComponent, this.props as object)
    }
  }
}
